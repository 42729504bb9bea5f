/**
 * Who may say and hear what on NATS: pure, and the one source for user JWTs, for a server's configuration and for the
 * table in docs/reference/bus.md.
 *
 * Sidecars have an account of their own, without JetStream. Within one account permissions are not enough: the server
 * does not check the reply subject of a request, and JetStream sends its answer there with its own rights. A sidecar
 * that may only pull its own jobs could name `$JS.API.STREAM.PURGE.…` as its reply. An answer that comes from another
 * account goes no further than the asker's. See docs/decisions/bus-accounts.md.
 */
import type { AccountRule } from '../identity/nats-jwt.ts';
import { escapeToken } from './subjects.ts';

export type { AccountRule };

/** As a user JWT of NATS and a server's configuration have it. */
export interface BusPermissions {
  readonly publish: SubjectLists;
  readonly subscribe: SubjectLists;
  /** It may answer what it hears, so many messages each, within so many milliseconds. */
  readonly responses?: { readonly max: number; readonly ttlMs: number };
}

export interface SubjectLists {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface SidecarIdentity {
  readonly namespace: string;
  readonly function: string;
  readonly pod: string;
}

export type BusRole = 'proxy' | 'scaler';

/** A function is in no rule of an account. */
export interface BusAccount {
  readonly name: string;
  readonly hasJetStream: boolean;
  readonly exports: readonly AccountRule[];
  /** From the other account. */
  readonly imports: readonly AccountRule[];
}

interface SidecarRule {
  readonly way: 'publish' | 'subscribe';
  /** With `<namespace>`, `<function>`, `<pod>`, and `<jobs>`, `<events>` for the names of consumers. */
  readonly subject: string;
  readonly why: string;
  /** How it gets to the other account; absent: it stays in the sidecars' own. */
  readonly crosses?: AccountRule['kind'];
  /** True: sidecars answer, and the other account sends the questions. Default: false. */
  readonly isOffered?: boolean;
  readonly responseType?: 'Stream';
}

/**
 * What a sidecar may, in the order of the table in the documentation. Who may publish `a.*` may publish the subject `a.*`
 * itself, and JetStream reads such a name as a wildcard. So a `*` that reads stands only below the function's own name.
 */
export const SIDECAR_RULES: readonly SidecarRule[] = [
  says('slimfaas.ready.<namespace>.<function>.<pod>', 'that it is ready, or draining'),
  says('slimfaas.activity.<namespace>.<function>.<pod>', 'what runs in it'),
  says('slimfaas.ask.<namespace>.<function>.<pod>', 'questions and wishes to the scaler'),
  says('slimfaas.result.<namespace>.<function>.*', 'records of its function’s jobs'),
  says('slimfaas.dead.<namespace>.<function>', 'dead letters of its function'),
  says('slimfaas.callback.<namespace>.<function>', 'results for the URLs of jobs'),
  { ...says('$JS.API.CONSUMER.MSG.NEXT.SLIMFAAS_JOBS.<jobs>', 'asks for jobs'), responseType: 'Stream' },
  says('$JS.API.CONSUMER.INFO.SLIMFAAS_JOBS.<jobs>', 'how many jobs wait'),
  says('$JS.ACK.SLIMFAAS_JOBS.<jobs>.>', 'what became of a job'),
  {
    ...says('$JS.API.CONSUMER.MSG.NEXT.SLIMFAAS_EVENTS.<events>', 'asks for its events'),
    responseType: 'Stream',
  },
  says('$JS.API.CONSUMER.INFO.SLIMFAAS_EVENTS.<events>', 'how many events wait'),
  says('$JS.ACK.SLIMFAAS_EVENTS.<events>.>', 'what became of an event'),
  says('$JS.API.DIRECT.GET.SLIMFAAS_RESULTS.slimfaas.result.<namespace>.<function>.*', 'reads a record'),
  says('$JS.API.DIRECT.GET.SLIMFAAS_JOBS.slimfaas.job.<namespace>.<function>', 'reads the last job'),
  says('$JS.API.DIRECT.GET.SLIMFAAS_BODIES.slimfaas.body.<namespace>.<function>.*.*', 'reads a large body'),
  says('slimfaas.body-wish.<namespace>.<function>', 'has a large body removed, or one of an event read'),
  {
    way: 'publish',
    subject: 'slimfaas.job-question.<namespace>.<function>',
    why: 'asks its siblings for a job',
  },
  {
    way: 'subscribe',
    subject: 'slimfaas.job-question.<namespace>.<function>',
    why: 'is asked for a job',
    crosses: 'service',
    isOffered: true,
    responseType: 'Stream',
  },
  {
    way: 'subscribe',
    subject: 'slimfaas.share.<namespace>.<function>',
    why: 'its share of a limit',
    crosses: 'stream',
  },
  { way: 'publish', subject: '_INBOX_sidecar.<namespace>.<function>.*.>', why: 'answers to its siblings' },
  {
    way: 'publish',
    subject: '_R_.>',
    why: 'answers to the other account; the server makes the rest by chance',
  },
  { way: 'subscribe', subject: '_INBOX_sidecar.<namespace>.<function>.<pod>.>', why: 'answers to it alone' },
];

function says(subject: string, why: string): SidecarRule {
  return { way: 'publish', subject, why, crosses: 'service' };
}

/** What a rule leaves open in a subject or in the name of a consumer. */
type Place = 'namespace' | 'function' | 'pod' | 'jobs' | 'events';
type Fill = (name: Place) => string;

function fillIn(template: string, fill: Fill): string {
  return template.replaceAll(/<(\w+)>/g, (_, name: string) => fill(name as Place));
}

const ANY: Fill = () => '*';

/** A subject of {@link SIDECAR_RULES} as it is for one sidecar. */
export function subjectOf(template: string, { namespace, function: name, pod }: SidecarIdentity): string {
  const values: Readonly<Record<Place, string>> = {
    namespace: escapeToken(namespace),
    function: escapeToken(name),
    pod: escapeToken(pod),
    jobs: consumerToken(namespace, name),
    events: consumerToken(namespace, pod),
  };
  return fillIn(template, (place) => values[place]);
}

/** A consumer's name must not have a `%`, because nats-server 2.9 uses the name as a format string. */
function consumerToken(namespace: string, name: string): string {
  return `${escapeToken(namespace)}__${escapeToken(name)}`.replaceAll('%', '_');
}

/** Whether sidecars have an account of their own. */
export type SidecarAccount = 'of their own' | 'with the proxies';

/** In one account no server puts another name in the place of a proxy's inbox. Its end is made by chance. */
const TO_PROXIES = '_INBOX_proxy.*.>';

/**
 * What the sidecar of one pod may; nothing in it names another function, or another pod's own subjects. It has no
 * `responses`: they allow any reply subject that was heard. A sidecar that asks itself could choose each there is.
 */
export function sidecarPermissions(
  sidecar: SidecarIdentity,
  account: SidecarAccount = 'of their own',
): BusPermissions {
  return permissionsOf((subject) => subjectOf(subject, sidecar), account);
}

/** What the sidecars of all functions may, where they share a user. */
export function anySidecarPermissions(account: SidecarAccount): BusPermissions {
  return permissionsOf((subject) => fillIn(subject, ANY), account);
}

function permissionsOf(fill: (subject: string) => string, account: SidecarAccount): BusPermissions {
  const of = (way: SidecarRule['way']): string[] =>
    SIDECAR_RULES.filter((rule) => rule.way === way).map(({ subject }) => fill(subject));
  const more = account === 'with the proxies' ? [TO_PROXIES] : [];
  return {
    publish: { allow: [...of('publish'), ...more], deny: [] },
    subscribe: { allow: of('subscribe'), deny: [] },
  };
}

interface RoleRules {
  readonly publish: readonly (readonly [subject: string, why: string])[];
  readonly subscribe: readonly (readonly [subject: string, why: string])[];
}

/** Both work for every function; neither may remove or change what it does not use. */
export const ROLE_RULES: Readonly<Record<BusRole, RoleRules>> = {
  proxy: {
    publish: [
      ['slimfaas.wake.*.*', 'callers that wait'],
      ['slimfaas.activity.*.*', 'calls that run through it'],
      ['slimfaas.ready.>', 'what a sidecar told it alone, passed on'],
      ['slimfaas.job.*.*', 'jobs'],
      ['slimfaas.event.*.*.*', 'events'],
      ['slimfaas.result.*.*.*', 'records of cancelled jobs'],
      ['slimfaas.body.>', 'large bodies'],
      ['slimfaas.job-question.*.*', 'asks sidecars for a job'],
      ['slimfaas.service-ports', 'on which ports it listens for Services'],
      ['$JS.API.DIRECT.GET.*', 'reads what is stored'],
      ['$JS.API.DIRECT.GET.*.>', 'reads what is stored'],
      ['$JS.API.STREAM.MSG.GET.*', 'the same, of the stream’s leader'],
      ['$JS.API.STREAM.MSG.DELETE.SLIMFAAS_JOBS', 'cancels a job'],
      ['$JS.API.STREAM.MSG.DELETE.SLIMFAAS_DEAD', 'drops a dead letter'],
      ['$JS.API.STREAM.PURGE.SLIMFAAS_BODIES', 'removes a body'],
      ['$JS.API.STREAM.INFO.SLIMFAAS_JOBS', 'counts the jobs of a function'],
      ['$JS.API.STREAM.INFO.SLIMFAAS_BODIES', 'how full it is'],
      ['$JS.API.STREAM.INFO.SLIMFAAS_CALLBACKS', 'how many results of a function wait'],
      ['$JS.API.CONSUMER.INFO.SLIMFAAS_JOBS.*', 'up to where jobs are done'],
      ['$JS.API.CONSUMER.INFO.SLIMFAAS_CALLBACKS.proxies', 'how many results wait'],
      ['$JS.API.CONSUMER.MSG.NEXT.SLIMFAAS_CALLBACKS.proxies', 'results for URLs'],
      ['$JS.ACK.SLIMFAAS_CALLBACKS.proxies.>', 'what became of a result'],
    ],
    subscribe: [
      ['slimfaas.ready.>', 'sidecars that are ready or draining'],
      ['slimfaas.activity.>', 'freed places, other proxies'],
      ['slimfaas.share.*.*', 'shares of pods'],
      ['slimfaas.result.*.*.*', 'ends of jobs'],
      ['slimfaas.body-wish.*.*', 'bodies that are done with'],
      ['_INBOX_proxy.>', 'answers'],
    ],
  },
  scaler: {
    publish: [
      ['slimfaas.share.*.*', 'shares of pods'],
      ['slimfaas.job.*.*', 'events that an ended pod left'],
      ['$JS.API.>', 'keeps streams and consumers'],
      ['$JS.ACK.SLIMFAAS_EVENTS.>', 'events that an ended pod left'],
    ],
    subscribe: [
      ['slimfaas.wake.*.*', 'callers that wait'],
      ['slimfaas.activity.>', 'what runs'],
      ['slimfaas.ready.>', 'pods that are ready or draining'],
      ['slimfaas.share.*.*', 'what another leader decided'],
      ['slimfaas.ask.*.*.*', 'questions and wishes of sidecars'],
      ['slimfaas.service-ports', 'on which ports proxies listen for Services'],
      ['slimfaas.pod-ready', 'the same, of sidecars of the version before'],
      ['_INBOX_scaler.>', 'answers'],
    ],
  },
};

export function rolePermissions(role: BusRole): BusPermissions {
  const { publish, subscribe } = ROLE_RULES[role];
  const subjects = (rules: RoleRules['publish']): string[] => rules.map(([subject]) => subject);
  return {
    publish: { allow: subjects(publish), deny: [] },
    subscribe: { allow: subjects(subscribe), deny: [] },
    // An answer to a question from the other account goes to a subject of the server's making.
    responses: { max: 1, ttlMs: 10_000 },
  };
}

const crossing = SIDECAR_RULES.filter(({ crosses }) => crosses !== undefined);
const ofCore = widest(crossing.filter(({ isOffered }) => !isOffered).map(ruleOf));
const ofFunctions = widest(crossing.filter(({ isOffered }) => isOffered).map(ruleOf));

function ruleOf({ crosses = 'service', subject, responseType }: SidecarRule): AccountRule {
  return { kind: crosses, subject: fillIn(subject, ANY), ...(responseType ? { responseType } : {}) };
}

/** A server refuses an account with two rules if one covers the other. */
function widest(rules: readonly AccountRule[]): AccountRule[] {
  return rules.filter(
    (rule) => !rules.some((other) => other !== rule && covers(other.subject, rule.subject)),
  );
}

/** Whether each subject that `narrow` stands for is one of `wide`. */
export function covers(wide: string, narrow: string): boolean {
  const [tokens, others] = [wide.split('.'), narrow.split('.')];
  const tail = tokens.at(-1) === '>' ? tokens.length - 1 : undefined;
  if (tail === undefined ? tokens.length !== others.length : tail >= others.length) return false;
  return tokens
    .slice(0, tail)
    .every((token, at) => token === others[at] || (token === '*' && others[at] !== '>'));
}

/**
 * Nobody listens there. The server itself answers the whole API of JetStream in an account without it, also requests that
 * go to `CORE`, with "JetStream not enabled for account". It leaves that away in an account that takes the first subject
 * of the API from another one. Seen on nats-server 2.9.10 and 2.15.2. Taking all of the API would overlap with the rest,
 * which no account JWT may.
 */
const NOWHERE: AccountRule = { kind: 'service', subject: 'slimfaas.nowhere' };
const noApi: AccountRule = { ...NOWHERE, localSubject: '$JS.API.INFO' };

/** `core`: proxies and scalers, and what is stored. `functions`: every sidecar. */
export const ACCOUNTS: Readonly<Record<'core' | 'functions', BusAccount>> = {
  core: { name: 'CORE', hasJetStream: true, exports: [NOWHERE, ...ofCore], imports: ofFunctions },
  functions: { name: 'FUNCTIONS', hasJetStream: false, exports: ofFunctions, imports: [noApi, ...ofCore] },
};

export type BusClient =
  { readonly role: BusRole; readonly pod: string } | ({ readonly role: 'sidecar' } & SidecarIdentity);

/** For the client library: answers come to subjects that begin so, and nobody else may hear them. */
export function inboxPrefix(client: BusClient): string {
  if (client.role !== 'sidecar') return `_INBOX_${client.role}.${escapeToken(client.pod)}`;
  const { namespace, function: name, pod } = client;
  return `_INBOX_sidecar.${[namespace, name, pod].map(escapeToken).join('.')}`;
}
