/**
 * The proxy's flags. Defaults are for a pod of 512 MiB. The proxy has 180 MB when it has started, and at most 256 MiB
 * more for calls that wait, which is 14,000 without a body.
 */
import { partIdentityFlags } from '../common/identity/flags.ts';
import type { FlagTable, FlagValues } from '../common/runtime/flags.ts';
import { EVERY_ADDRESS } from '../common/runtime/listen-on.ts';
import { LOG_LEVEL_FLAG } from '../common/runtime/log.ts';
import { PROXY_PORT } from '../common/function/names.ts';
import { hostFlags } from '../common/function/host-flags.ts';
import { serviceFlags } from './services/service-flags.ts';
import { callerFlags } from './callers/caller-flags.ts';
import { accessFlags, ownTokenFlag } from '../common/access/access-flags.ts';
import { outsideFlags } from './edge/outside-flags.ts';
import { jobFlags } from './jobs/job-flags.ts';
import { proofFlags } from './pods/proof-keys.ts';

export const proxyFlags = {
  host: {
    type: 'string',
    default: EVERY_ADDRESS,
    group: 'Listening',
    describe: 'address to listen on; :: is all, IPv6 and IPv4',
  },
  port: {
    type: 'int',
    default: PROXY_PORT,
    min: 0,
    max: 65535,
    group: 'Listening',
    describe: 'port of all routes; 0 picks a free one',
  },
  'metrics-port': {
    type: 'int',
    default: 5003,
    min: 0,
    max: 65535,
    group: 'Listening',
    describe: 'port of /metrics, /health and /ready alone; 0 picks a free one',
  },
  'tls-port': {
    type: 'int',
    default: 5443,
    min: 0,
    max: 65535,
    group: 'Listening',
    describe: 'port of all routes over TLS, once there is a certificate; 0 picks a free one',
  },
  ...outsideFlags,
  'tls-cert': {
    type: 'string',
    default: '',
    group: 'Listening',
    describe: 'file with the certificate chain (PEM); empty: no TLS',
  },
  'tls-key': {
    type: 'string',
    default: '',
    group: 'Listening',
    describe: "file with the certificate's key (PEM)",
  },
  'tls-check-seconds': {
    type: 'number',
    default: 30,
    min: 0.05,
    max: 86_400,
    group: 'Listening',
    describe: 'how often the two files are looked at for a new certificate',
  },
  namespaces: {
    type: 'list',
    default: [],
    group: 'Cluster',
    describe: 'namespaces whose functions are served, separated by commas; empty: all',
  },
  namespace: {
    type: 'string',
    default: 'default',
    group: 'Cluster',
    describe: "the proxy's own namespace, in which a function's name needs no namespace",
  },
  ...hostFlags,
  'pod-name': {
    type: 'string',
    default: 'proxy',
    group: 'Cluster',
    describe: "the proxy's own pod, in reports and logs",
  },
  'pod-ip': { type: 'string', default: '', group: 'Cluster', describe: "the proxy's own address" },
  nats: {
    type: 'string',
    default: 'nats://127.0.0.1:4222',
    group: 'Cluster',
    describe: 'NATS servers, separated by commas',
  },
  'nats-address': {
    type: 'string',
    default: '',
    group: 'Cluster',
    describe: 'IP address of the NATS server, tried first and where its name cannot be resolved; empty: none',
  },
  'scaler-address': {
    type: 'string',
    default: '',
    group: 'Cluster',
    describe: 'IP address for --scaler-url, tried in turn with its name; empty: none',
  },
  'scaler-url': {
    type: 'string',
    default: 'http://slimfaas-scaler:5001',
    group: 'Cluster',
    describe: 'where to wake functions while NATS is down',
  },
  'queue-limit': {
    type: 'int',
    default: 10_000,
    min: 0,
    group: 'Waiting',
    describe: 'calls that may wait for one function; slimfaas.dev/queue-limit overrides it',
  },
  'queue-total': {
    type: 'int',
    default: 50_000,
    min: 0,
    group: 'Waiting',
    describe: 'calls that may wait in this proxy',
  },
  'queue-bytes': {
    type: 'int',
    default: 256 * 1024 * 1024,
    min: 0,
    group: 'Waiting',
    describe: 'memory that waiting calls may hold: 18 KiB each, their heads, and the start of a body',
  },
  'replay-bytes': {
    type: 'int',
    default: 32 * 1024 * 1024,
    min: 0,
    group: 'Waiting',
    describe: 'bytes of bodies kept while they are sent, so that a call that a pod refused can go to another',
  },
  'cold-start-timeout': {
    type: 'number',
    default: 60,
    min: 0,
    max: 86_400,
    group: 'Waiting',
    describe: 'seconds to wait while there is no pod; slimfaas.dev/cold-start-timeout overrides it',
  },
  'waiting-page-seconds': {
    type: 'int',
    default: 0,
    min: 0,
    max: 3_600,
    group: 'Waiting',
    describe:
      'seconds after which a browser that opens a page of a function at zero is shown that it starts; 0: never; slimfaas.dev/waiting-page overrides it',
  },
  'waiting-page-file': {
    type: 'string',
    default: '',
    group: 'Waiting',
    describe:
      'file with an HTML page of your own for that, with {{function}} and {{progress}}; empty: the built-in one',
  },
  'max-connections': {
    type: 'int',
    default: 16_000,
    min: 1,
    group: 'Clients',
    describe: 'client connections on each port; further ones are closed at once',
  },
  'idle-bytes': {
    type: 'int',
    default: 32 * 1024 * 1024,
    min: 1024 * 1024,
    group: 'Clients',
    describe:
      'memory that client connections without a request may hold, of HTTP/1.1 and of HTTP/2 each; 16 KiB each, with TLS 64; beyond it the longest idle are closed',
  },
  'max-header-bytes': {
    type: 'int',
    default: 32 * 1024,
    min: 1024,
    group: 'Clients',
    describe: 'size of all headers of one request; above it 431',
  },
  'max-headers': {
    type: 'int',
    default: 200,
    min: 16,
    max: 2_000,
    group: 'Clients',
    describe: 'headers of one request; above it 431',
  },
  'header-timeout': {
    type: 'number',
    default: 10,
    min: 1,
    group: 'Clients',
    describe: 'seconds in which the headers of a request must arrive; after them 408',
  },
  'body-idle-timeout': {
    type: 'number',
    default: 60,
    min: 1,
    group: 'Clients',
    describe: 'seconds without a byte of a body being sent or an answer being read; after them the call ends',
  },
  'keep-alive-timeout': {
    type: 'number',
    default: 75,
    min: 1,
    group: 'Clients',
    describe: 'seconds an idle connection stays open',
  },
  'requests-per-connection': {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Clients',
    describe: 'requests after which a connection is closed; 0: any number',
  },
  ...serviceFlags,
  'http2-streams': {
    type: 'int',
    default: 250,
    min: 1,
    max: 100_000,
    group: 'Clients',
    describe: 'requests that one HTTP/2 connection may have open at once; the client waits with further ones',
  },
  'status-readers': {
    type: 'int',
    default: 200,
    min: 0,
    group: 'Clients',
    describe:
      'clients that may follow /status-functions-stream, as open status pages do; further ones get 503',
  },
  'status-bytes': {
    type: 'int',
    default: 16 * 1024 * 1024,
    min: 0,
    group: 'Clients',
    describe:
      'bytes of status answers that clients have not read yet; beyond it everyone gets the last status again',
  },
  ...jobFlags,
  ...callerFlags,
  'show-private': {
    type: 'boolean',
    default: false,
    group: 'Visibility',
    describe: 'list private functions on the status page and /status-functions to callers from outside too',
  },
  'lame-duck': {
    type: 'number',
    default: 3,
    min: 0,
    max: 600,
    group: 'Ending',
    describe:
      'seconds in which new connections are still accepted after SIGTERM, while load balancers notice',
  },
  'lame-duck-alone': {
    type: 'number',
    default: 20,
    min: 0,
    max: 600,
    group: 'Ending',
    describe: 'seconds that this time is prolonged at most while no other proxy is ready',
  },
  'drain-timeout': {
    type: 'number',
    default: 120,
    min: 0,
    max: 86_400,
    group: 'Ending',
    describe: 'seconds that calls in the proxy are given to end after SIGTERM',
  },
  ...partIdentityFlags,
  ...proofFlags,
  ...accessFlags,
  ...ownTokenFlag,
  'log-level': LOG_LEVEL_FLAG,
} as const satisfies FlagTable;

export type ProxyConfig = FlagValues<typeof proxyFlags>;
