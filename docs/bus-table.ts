/**
 * Each identity on NATS beside each subject: what it may say and hear there. For the page in docs/reference/bus.md, and
 * for the test that tries each cell on a real server with JWTs of the real exchange.
 */
import {
  covers,
  ROLE_RULES,
  rolePermissions,
  SIDECAR_RULES,
  sidecarPermissions,
  subjectOf,
  type BusClient,
  type BusPermissions,
  type SidecarIdentity,
} from '../common/bus/permissions.ts';

export type Way = 'publish' | 'subscribe';

/** The pod that `<namespace>`, `<function>`, `<pod>` and the consumers of a row are of. */
export const OWN: SidecarIdentity = { namespace: 'shop', function: 'cart.v2', pod: 'cart-1' };

/** Columns; `nobody` shows no identity. */
export const CLIENTS: Readonly<Record<string, BusClient | undefined>> = {
  nobody: undefined,
  'its sidecar': { role: 'sidecar', ...OWN },
  'its sibling': { role: 'sidecar', ...OWN, pod: 'cart-2' },
  'another function': { role: 'sidecar', namespace: 'shop', function: 'pay', pod: 'pay-1' },
  'another namespace': { role: 'sidecar', namespace: 'bank', function: 'cart.v2', pod: 'cart-1' },
  proxy: { role: 'proxy', pod: 'proxy-1' },
  scaler: { role: 'scaler', pod: 'scaler-1' },
};

const STREAMS = ['JOBS', 'EVENTS', 'RESULTS', 'BODIES', 'DEAD', 'CALLBACKS'].map(
  (name) => `SLIMFAAS_${name}`,
);
const STREAM_VERBS =
  'INFO CREATE UPDATE DELETE PURGE MSG.GET MSG.DELETE SNAPSHOT RESTORE PEER.REMOVE LEADER.STEPDOWN'.split(
    ' ',
  );

/** What strangers would try, beside what somebody may. */
const OTHERS = [
  '>',
  '*',
  'slimfaas.>',
  'slimfaas.job.<namespace>.<function>',
  'slimfaas.event.<namespace>.paid.<function>',
  'slimfaas.body.<namespace>.<function>.1.0',
  'slimfaas.wake.<namespace>.<function>',
  'slimfaas.ready.<namespace>.<function>',
  'slimfaas.activity.<namespace>.<function>',
  '_INBOX.>',
  '_INBOX.1.2',
  '_INBOX_proxy.>',
  '_INBOX_proxy.proxy-1.1',
  '_INBOX_scaler.scaler-1.1',
  '_INBOX_sidecar.>',
  '_INBOX_sidecar.<namespace>.<function>.<pod>.1',
  '_INBOX_sidecar.<namespace>.pay.pay-1.1',
  '_R_.1.2',
  '$JS.>',
  '$JS.API.>',
  '$JS.API.INFO',
  '$JS.API.STREAM.LIST',
  '$JS.API.STREAM.NAMES',
  ...STREAMS.flatMap((stream) => STREAM_VERBS.map((verb) => `$JS.API.STREAM.${verb}.${stream}`)),
  ...STREAMS.flatMap((stream) => [
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.CONSUMER.LIST.${stream}`,
    `$JS.API.CONSUMER.NAMES.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.x.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.x`,
    `$JS.API.CONSUMER.DELETE.${stream}.<jobs>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.x`,
  ]),
  '$JS.API.DIRECT.GET.SLIMFAAS_JOBS.slimfaas.job.<namespace>.<function>',
  '$JS.API.DIRECT.GET.SLIMFAAS_DEAD.slimfaas.dead.<namespace>.<function>',
  '$JS.EVENT.>',
  '$JS.FC.>',
  '$SYS.>',
  '$SYS.REQ.SERVER.PING',
  '$SYS.REQ.USER.INFO',
];

/** Templates, each once. */
export const SUBJECTS: readonly string[] = [
  ...new Set([
    ...SIDECAR_RULES.map(({ subject }) => subject),
    ...Object.values(ROLE_RULES).flatMap(({ publish, subscribe }) =>
      [...publish, ...subscribe].map(([subject]) => subject),
    ),
    ...OTHERS,
  ]),
];

export function permissionsOf(client: BusClient): BusPermissions {
  return client.role === 'sidecar' ? sidecarPermissions(client) : rolePermissions(client.role);
}

export function filledIn(template: string): string {
  return subjectOf(template, OWN);
}

/** @param subject filled in */
export function mayDo(client: BusClient | undefined, way: Way, subject: string): boolean {
  if (!client) return false;
  return permissionsOf(client)[way].allow.some((rule) => covers(rule, subject));
}

/** One row of the page for each template; equal rows of JetStream stand together. */
export function matrixRows(): string[] {
  const cells = (template: string): string =>
    Object.values(CLIENTS)
      .map((client) => cell(client, filledIn(template)))
      .join(' | ');
  return SUBJECTS.map((template) => `| \`${template}\` | ${cells(template)} |`);
}

function cell(client: BusClient | undefined, subject: string): string {
  const ways = [
    ...(mayDo(client, 'publish', subject) ? ['says'] : []),
    ...(mayDo(client, 'subscribe', subject) ? ['hears'] : []),
  ];
  return ways.length === 0 ? '–' : ways.join(', ');
}
