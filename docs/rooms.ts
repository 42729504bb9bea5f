/**
 * The rooms of the code: what each does, where to begin to read, and which rooms of its own part it may use.
 * `npm run docs` writes the table in internals/architecture.md from it, and test/architecture.test.ts holds the imports
 * to it. Every room may use any room of `common/` that the floors allow; see the test.
 */

export interface Room {
  /** The file to read first. Its head comment says what the room does. */
  readonly face: string;
  readonly does: string;
  readonly comesIn: string;
  readonly goesOut: string;
  /** Rooms of the same part that its files may import. */
  readonly uses: readonly string[];
}

type Line = readonly [face: string, does: string, comesIn: string, goesOut: string, uses?: string];

const LINES: Readonly<Record<string, Line>> = {
  'common/function': [
    'annotations/index.ts',
    'The contracts: annotations, names, paths, the environment of a sidecar',
    'annotations as text',
    'a typed spec, and faults that name place and value',
    'common/bus common/call common/runtime',
  ],
  'common/call': [
    'states.ts',
    'What a call is in every part: states, methods, policies',
    'a method, a policy as JSON',
    'typed policies and answers to "may it be sent again"',
    'common/function',
  ],
  'common/bus': [
    'nats.ts',
    'Core NATS: subjects, messages, the connection',
    'server addresses, messages',
    'a link that subscribes, publishes and reconnects',
    'common/runtime',
  ],
  'common/queue': [
    'queue.ts',
    'Jobs and events at rest, and JetStream behind them',
    'a stored request',
    'deliveries, states, results, dead letters',
    'common/bus common/relay common/runtime common/call',
  ],
  'common/relay': [
    'index.ts',
    'The HTTP data path that both hops share',
    'a request head, a body source',
    'the answer into a sink, and one outcome',
    'common/call common/runtime common/tunnel',
  ],
  'common/tunnel': [
    'tunnel.ts',
    'Upgraded connections: WebSocket and others',
    'a socket and its first bytes',
    'bytes in both directions until one side ends',
    'common/relay common/runtime',
  ],
  'common/http2': [
    'node-http2.ts',
    'What proxy and sidecar share of HTTP/2',
    'header fields, a stream',
    'checked fields, one way to end a stream',
    'common/relay',
  ],
  'common/places': [
    'protocol.ts',
    'The words on a place line between proxy and sidecar',
    'lines of text',
    'typed messages',
    'common/bus',
  ],
  'common/kube': [
    'client.ts',
    'Kubernetes: clients, watches, what pods and workloads say',
    'a kubeconfig, watch events',
    'functions, owners, troubles, ports',
    'common/bus common/function common/runtime',
  ],
  'common/tls': [
    'key-pair.ts',
    'Certificates: load, check, follow',
    'PEM files or Secrets',
    'a key pair, and a call when it changes',
    'common/runtime',
  ],
  'common/runtime': [
    'lifecycle.ts',
    'What every process needs: flags, log, metrics, errors, start and stop',
    'flags and environment',
    'typed values, reasons, stop stacks',
    'common/function',
  ],

  'proxy/edge': [
    'app.ts',
    'What a client meets first: server, trust, headers, the end',
    'sockets and heads',
    'requests that are within the limits',
    'proxy/metrics proxy/pods proxy/status',
  ],
  'proxy/functions': [
    'function-table.ts',
    'The functions, and which of them a path or a caller may see',
    'watch events',
    'a function entry for a name',
    'proxy/edge proxy/metrics proxy/pods proxy/status proxy/waiting',
  ],
  'proxy/pods': [
    'endpoints.ts',
    'The pods of each function: ready, busy, draining, gone',
    'pods of the watch, messages of sidecars',
    'the pod for the next call',
    'proxy/edge proxy/functions',
  ],
  'proxy/waiting': [
    'throttler.ts',
    'Calls that wait for a place or for a first pod',
    'a call',
    'a place in a pod, or a reason',
    'proxy/functions proxy/pods',
  ],
  'proxy/call': [
    'function-route.ts',
    'One synchronous call, from its head to its answer',
    'a request to /function/',
    'an answer of a pod, or a reason',
    'proxy/edge proxy/functions proxy/metrics proxy/pods proxy/waiting',
  ],
  'proxy/http2': [
    'http2-edge.ts',
    'HTTP/2 and gRPC in front of the same calls',
    'HTTP/2 sessions',
    'streams as calls, reasons as gRPC statuses',
    'proxy/call proxy/edge proxy/functions proxy/waiting',
  ],
  'proxy/jobs': [
    'proxy-jobs.ts',
    'Jobs: accept, ask, replay',
    'a request to /async-function/',
    'a stored job, its state and result',
    'proxy/callbacks proxy/edge proxy/functions proxy/waiting',
  ],
  'proxy/events': [
    'event-route.ts',
    'Events: publish to all who subscribe',
    'a request to /publish-event/',
    'stored events for functions and pods',
    'proxy/edge proxy/functions proxy/jobs',
  ],
  'proxy/callbacks': [
    'deliverer.ts',
    'Results on their way to callback URLs',
    'stored results',
    'posts to allowed addresses',
    'proxy/jobs',
  ],
  'proxy/status': [
    'board.ts',
    'Status of functions for people and machines',
    'the table of functions',
    'JSON, a stream, the page',
    'proxy/functions proxy/pods',
  ],
  'proxy/metrics': [
    'proxy-metrics.ts',
    'Counts for Prometheus and for activity reports',
    'what happens to calls',
    'series, one activity message per second',
    'proxy/status',
  ],

  'sidecar/call': [
    'data-server.ts',
    'One call in the pod: admit, relay, retry',
    'a request on port 15080',
    'the answer of the app, or a refusal',
    'sidecar/admin sidecar/app sidecar/limits',
  ],
  'sidecar/limits': [
    'admission.ts',
    'How many run at once, and who is next',
    'calls and jobs, the share of the scaler',
    'places',
    'sidecar/jobs',
  ],
  'sidecar/app': [
    'app-probe.ts',
    'The app: how to reach it, and whether it is ready',
    'probes of the pod',
    'ready, trouble, a relay to the app',
    'sidecar/limits',
  ],
  'sidecar/jobs': [
    'jobs-part.ts',
    'Jobs of this function, one place each',
    'deliveries of JetStream',
    'results, retries, dead letters',
    'sidecar/admin sidecar/call sidecar/limits',
  ],
  'sidecar/events': [
    'events-part.ts',
    'Events of this pod',
    'deliveries of JetStream',
    'tries, and jobs for what is unfinished',
    'sidecar/jobs sidecar/call sidecar/limits',
  ],
  'sidecar/life': [
    'drain.ts',
    'From ready to drained, and what is announced',
    'SIGTERM, hooks, /drain',
    'ready and draining messages',
    'sidecar/admin sidecar/limits',
  ],
  'sidecar/admin': [
    'admin-server.ts',
    'Health, metrics and activity reports',
    'requests on port 15081',
    'metrics, one activity message per second',
    'sidecar/jobs sidecar/life sidecar/limits',
  ],

  'scaler/world': [
    'world.ts',
    'The cluster as last seen, and the API behind it',
    'watch events',
    'workloads, pods, the lease, patches',
    'scaler/decide scaler/faults',
  ],
  'scaler/facts': [
    'facts.ts',
    'What is known of one function at one moment',
    'reports, pods, wakes',
    'facts for a decision',
    'scaler/act scaler/decide scaler/faults scaler/schedule scaler/shares scaler/world',
  ],
  'scaler/decide': [
    'decide.ts',
    'The rules, pure: how many replicas',
    'facts and a time',
    'one decision with its reason',
  ],
  'scaler/act': [
    'actuator.ts',
    'Carries decisions out',
    'decisions',
    'patches, Events, nudges',
    'scaler/decide scaler/facts scaler/faults scaler/status scaler/world',
  ],
  'scaler/loop': [
    'reconcile.ts',
    'The tick: observe, facts, decide, act',
    'everything heard',
    'effects, in slices that keep the process awake',
    'scaler/act scaler/decide scaler/facts scaler/faults scaler/load scaler/shares scaler/world',
  ],
  'scaler/load': [
    'load.ts',
    'Load of functions from jobs, queries and reports',
    'depths, answers, reports',
    'replicas that triggers ask for',
    'scaler/decide scaler/facts scaler/faults scaler/jobs scaler/queries scaler/scrape scaler/sizing scaler/status scaler/world',
  ],
  'scaler/sizing': [
    'triggers.ts',
    'From load to a size, pure: targets, windows, behaviour',
    'load over time',
    'a wanted count',
  ],
  'scaler/schedule': [
    'schedule.ts',
    'Times of day at which functions are kept up',
    'schedules and a time',
    'a minimum',
  ],
  'scaler/jobs': [
    'job-keeper.ts',
    'Streams and consumers of jobs and events',
    'functions, NATS',
    'streams that exist, depths',
  ],
  'scaler/shares': [
    'shares.ts',
    'Splits a limit over pods',
    'reports of pods',
    'a share for each pod',
    'scaler/facts scaler/world',
  ],
  'scaler/scrape': [
    'scraper.ts',
    'Reads the metrics of pods',
    'targets',
    'samples',
    'scaler/promql scaler/world',
  ],
  'scaler/promql': ['query.ts', 'PromQL: parse, store, evaluate', 'a query and samples', 'values'],
  'scaler/queries': [
    'queries.ts',
    'Queries of triggers and people, in a thread of its own',
    'rules and questions',
    'answers',
    'scaler/load scaler/promql scaler/scrape scaler/sizing scaler/status',
  ],
  'scaler/faults': [
    'faults.ts',
    'What is wrong with a function, in words',
    'specs, pods, annotations',
    'faults that name what to change',
    'scaler/facts scaler/load scaler/world',
  ],
  'scaler/status': [
    'metrics.ts',
    'What the scaler shows: metrics and HTTP',
    'state of functions',
    'series, JSON',
    'scaler/facts scaler/faults scaler/loop scaler/queries scaler/world',
  ],

  'webhook/inject': [
    'inject.ts',
    'Pure: a pod in, the same pod with a sidecar out',
    'a pod and its spec',
    'a patched pod, warnings',
  ],
  'webhook/certificates': [
    'own-certificates.ts',
    'The certificate of the webhook, and its rotation',
    'a Secret or files',
    'a key pair, a caBundle',
  ],

  'cli/parts': ['part-command.ts', 'The commands that run a part', 'argv, environment', 'a running part'],
  'cli/client': [
    'door.ts',
    'The commands that ask an installation',
    'argv, kubeconfig',
    'text or JSON',
    'cli/parts',
  ],
  'cli/inject': [
    'inject.ts',
    'slimfaas inject: the webhook without a cluster',
    'manifests',
    'manifests with sidecars',
    'cli/client cli/parts',
  ],

  'packages/local-cluster/api': [
    'http/server.ts',
    'The API server: store, admission, watches',
    'HTTPS requests',
    'objects and events',
  ],
  'packages/local-cluster/controllers': [
    'context.ts',
    'Deployments, StatefulSets, endpoints, scheduler',
    'objects',
    'objects',
    'packages/local-cluster/api',
  ],
  'packages/local-cluster/kubelet': [
    'pods/kubelet.ts',
    'Pods as processes',
    'pods that are bound',
    'statuses and logs',
    'packages/local-cluster/api packages/local-cluster/controllers',
  ],
  'packages/local-cluster/services': [
    'services.ts',
    'Services as loopback listeners',
    'services and endpoints',
    'open ports',
    'packages/local-cluster/api packages/local-cluster/controllers',
  ],
};

export const ROOMS: ReadonlyMap<string, Room> = new Map(
  Object.entries(LINES).map(([room, [face, does, comesIn, goesOut, uses = '']]) => [
    room,
    { face: `${room}/${face}`, does, comesIn, goesOut, uses: uses.split(' ').filter((name) => name !== '') },
  ]),
);

/** Files beside the rooms: what puts a part together, its flags, and its entry. */
export const COMPOSITION: Readonly<Record<string, string>> = {
  proxy: 'start.ts flags.ts proxy-state.ts servers.ts clock.ts',
  sidecar: 'start.ts config.ts core.ts parts.ts context.ts',
  scaler: 'start.ts flags.ts',
  webhook: 'start.ts flags.ts server.ts review.ts admin.ts metrics.ts kube.ts',
  cli: 'main.ts image.ts run.ts commands.ts people-flags.ts local.ts build.ts',
  'packages/local-cluster': 'start.ts cluster.ts flags.ts addresses.ts apply.ts drain.ts log-lines.ts',
};

/** The table of docs/internals/architecture.md. */
export function roomsTable(): string {
  const tops = [...new Set([...ROOMS.keys()].map((room) => room.replace(/\/[^/]*$/, '')))];
  return tops
    .map((top) => {
      const rows = [...ROOMS].filter(([room]) => room.replace(/\/[^/]*$/, '') === top);
      const lines = rows.map(([room, { face, does, comesIn, goesOut, uses }]) => {
        const first = face.slice(room.length + 1);
        const others = uses.map((name) => name.slice(top.length + 1)).join(', ');
        return `| \`${room.slice(top.length + 1)}\` | ${does} | ${comesIn} | ${goesOut} | \`${first}\` | ${others} |`;
      });
      const composition = COMPOSITION[top];
      const beside =
        composition === undefined ? '' : `\nBeside the rooms: \`${composition.replaceAll(' ', '`, `')}\`.\n`;
      return [
        `### \`${top}/\``,
        '',
        '| room | what it does | comes in | goes out | read first | uses of this part |',
        '|---|---|---|---|---|---|',
        ...lines,
        beside,
      ].join('\n');
    })
    .join('\n');
}

export const ROOMS_BEGIN = '<!-- rooms: written by npm run docs from docs/rooms.ts -->';
export const ROOMS_END = '<!-- /rooms -->';

/** @returns the page with the table between its marks written again */
export function withRooms(page: string): string {
  const begin = page.indexOf(ROOMS_BEGIN);
  const end = page.indexOf(ROOMS_END);
  if (begin < 0 || end < begin) throw new Error(`the page has no ${ROOMS_BEGIN} … ${ROOMS_END}`);
  return `${page.slice(0, begin + ROOMS_BEGIN.length)}\n\n${roomsTable()}\n${page.slice(end)}`;
}
