/**
 * `npm run bench` lists the benches; `npm run bench -- NAME [--json] [--quick]` runs one. Each is a file of
 * this folder that exports `bench`.
 */
import { readdirSync } from 'node:fs';
import type { Bench, Row } from './lib/bench.ts';

const args = process.argv.slice(2);
const flags = new Set(['--json', '--quick']);
const wanted = args.find((arg) => !arg.startsWith('-'));

async function loadBenches(): Promise<Bench[]> {
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.ts') && file !== 'run.ts');
  const benches: Bench[] = [];
  for (const file of files.toSorted()) {
    const loaded = (await import(`./${file}`)) as { bench?: Bench };
    if (loaded.bench) benches.push(loaded.bench);
  }
  return benches;
}

/** One line a case, one column a metric where the cases share their metrics; else one line a figure. */
function printTable(rows: readonly Row[]): void {
  const cells = rows.map((row) => [row.case, row.metric, figure(row.value), row.unit]);
  const widths = [0, 1, 2, 3].map((i) => Math.max(0, ...cells.map((cell) => (cell[i] as string).length)));
  let last = '';
  for (const [name, metric, value, unit] of cells as [string, string, string, string][]) {
    if (name !== last && last !== '') console.log();
    const first = name === last ? ''.padEnd(widths[0] as number) : name.padEnd(widths[0] as number);
    console.log(
      `${first}  ${metric.padEnd(widths[1] as number)}  ${value.padStart(widths[2] as number)} ${unit}`,
    );
    last = name;
  }
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return Math.round(value).toString();
  return value.toPrecision(3);
}

const benches = await loadBenches();
if (wanted === undefined) {
  for (const { name, describe } of benches) console.log(`${name.padEnd(14)} ${describe}`);
} else {
  const bench = benches.find(({ name }) => name === wanted);
  if (!bench) {
    console.error(`no bench "${wanted}"; there are: ${benches.map(({ name }) => name).join(', ')}`);
    process.exit(2);
  }
  const rows = await bench.run({
    quick: args.includes('--quick'),
    args: args.filter((arg) => arg !== wanted && !flags.has(arg)),
    say: (line) => console.error(line),
  });
  printTable(rows);
  if (args.includes('--json')) console.log(JSON.stringify({ bench: bench.name, rows }));
}
