/**
 * The status page: a table kept in step with the proxy's event stream. No framework and nothing to build;
 * text only ever goes in as text, because names and messages are written by others.
 */
const rows = document.querySelector('#functions');
const none = document.querySelector('#none');
const connection = document.querySelector('#connection');

const stream = new EventSource('status-functions-stream');
stream.addEventListener('open', () => say('Live'));
stream.addEventListener('error', () => say('The proxy does not answer; trying again …'));
stream.addEventListener('message', (event) => show(JSON.parse(event.data)));

function say(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

/** Rows are kept by function, so that a focused button stays focused while numbers change. */
function show(functions) {
  none.hidden = functions.length > 0;
  const known = new Map([...rows.children].map((row) => [row.dataset.key, row]));
  functions.forEach((fn, index) => {
    const key = `${fn.Namespace}/${fn.Name}`;
    const row = known.get(key) ?? newRow(key, fn);
    known.delete(key);
    fill(row, fn);
    if (rows.children[index] !== row) rows.insertBefore(row, rows.children[index] ?? null);
  });
  for (const row of known.values()) row.remove();
}

function newRow(key, fn) {
  const row = document.createElement('tr');
  row.dataset.key = key;
  const name = document.createElement('th');
  name.scope = 'row';
  name.textContent = fn.Name;
  const cells = Array.from({ length: 8 }, () => document.createElement('td'));
  for (const cell of cells.slice(3, 7)) cell.className = 'number';
  row.append(name, ...cells, wakeCell(fn));
  return row;
}

function wakeCell(fn) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'Wake';
  button.setAttribute('aria-label', `Wake ${fn.Name}`);
  const path = `wake-function/${encodeURIComponent(`${fn.Name}.${fn.Namespace}`)}`;
  button.addEventListener('click', () => fetch(path, { method: 'POST' }).catch(() => undefined));
  const cell = document.createElement('td');
  cell.append(button);
  return cell;
}

function fill(row, fn) {
  const values = [
    fn.Namespace,
    fn.PodType,
    fn.Visibility,
    fn.NumberReady,
    fn.NumberRequested,
    fn.Waiting,
    fn.Running,
  ];
  values.forEach((value, i) => setText(row.children[i + 1], String(value)));
  fillState(row.children[8], fn);
}

function fillState(cell, fn) {
  const troubles = [
    ...fn.Pods.flatMap((pod) => (pod.Trouble ? [pod.Trouble] : [])),
    ...fn.Faults.map((f) => `${f.annotation}: ${f.problem}; in force: ${f.inForce}`),
  ];
  const text = `${stateOf(fn)}\n${troubles.join('\n')}`;
  if (cell.dataset.text === text) return;
  cell.dataset.text = text;
  const state = document.createElement('span');
  state.className = fn.NumberReady > 0 ? 'good' : '';
  state.textContent = stateOf(fn);
  cell.replaceChildren(state);
  if (troubles.length > 0) cell.append(listOf(troubles));
}

function listOf(texts) {
  const list = document.createElement('ul');
  list.className = 'bad';
  for (const text of texts) {
    const item = document.createElement('li');
    item.textContent = text;
    list.append(item);
  }
  return list;
}

function stateOf(fn) {
  if (fn.NumberReady > 0) return 'ready';
  if (fn.Pods.some((pod) => pod.State === 'starting')) return 'starting';
  return fn.NumberRequested > 0 ? 'waiting for pods' : 'asleep';
}

function setText(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}
