/** The rooms of `common/`: what two parts or more share. */
import type { Line } from './line.ts';

export const COMMON: Readonly<Record<string, Line>> = {
  'common/function': [
    'annotations/index.ts',
    'The contracts: annotations, names, paths, the environment of a sidecar',
    'annotations as text',
    'a typed spec, and faults that name place and value',
    'common/bus common/call common/identity common/runtime',
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
    'common/identity common/runtime',
  ],
  'common/identity': [
    'identity.ts',
    'Who a process is on the bus: keys, JWTs, the exchange for them',
    'a token of a service account',
    'a JWT and the signature of its key',
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
};
