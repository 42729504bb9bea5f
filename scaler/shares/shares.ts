/**
 * Splits NumberParallelRequest over pods so that the limit holds at every moment, not only after the dust has
 * settled. Messages are lost and late. So what a pod may be running is not the last grant but the largest of
 * everything it may still believe: its `ceiling`. A grant is lowered first; what it frees is given elsewhere only
 * when that pod's own report shows the lower limit and no more running than that.
 *
 * The invariant, for pods that have been heard from: the sum of `committed` never exceeds the limit. It rests on one
 * grant in flight per pod. As long as a grant is not confirmed by a report with that limit, it is not changed again.
 * So an old report cannot be taken for a new one, because messages of one sender arrive in order.
 *
 * The split is even; what is left over goes to pods where callers wait, then to those that have it already. A
 * pod that is still starting has 1 reserved (its sidecar begins with one sync call), if each ready pod keeps at
 * least 1. With more pods than the limit some get 0. Pure.
 *
 * Room `scaler/shares`: Splits a limit over pods.
 * Comes in: reports of pods.
 * Goes out: a share for each pod.
 */

export interface SharePod {
  readonly name: string;
  /**
   * `ending`: gets no share any more, but may not have noticed yet; `drained`: it reported after that, so it
   * admits nothing and only what still runs counts.
   */
  readonly state: 'starting' | 'ready' | 'ending' | 'drained';
  /**
   * It was ready when this process first saw it, so a former leader may have granted it anything up to `perPod`.
   * Until it reports, all of that is held against the others.
   */
  readonly isOld: boolean;
  /** From its last report; undefined: it has not reported yet. */
  readonly report:
    { readonly limit: number; readonly runningNow: number; readonly waiting: number } | undefined;
}

export interface Grant {
  /** What it was last told. */
  readonly granted: number;
  /** The largest limit that it may still enforce. */
  readonly ceiling: number;
  readonly isConfirmed: boolean;
  /** Nothing was granted by us and nothing is known yet: the pod keeps what it has. */
  readonly isGuess?: boolean;
}

export type Ledger = ReadonlyMap<string, Grant>;

/** What a sidecar allows itself before it hears of a share. */
const INITIAL_LIMIT = 1;

export interface ShareInput {
  readonly limit: number;
  readonly perPod: number;
  readonly pods: readonly SharePod[];
}

export interface Split {
  readonly ledger: Ledger;
  /** Something was granted that the pods have not been told. */
  readonly isChanged: boolean;
}

export function splitShares(input: ShareInput, before: Ledger): Split {
  const ledger = new Map<string, Grant>();
  const untold = new Set<string>();
  const adopted: SharePod[] = [];
  for (const pod of input.pods) {
    const known = before.get(pod.name);
    if (!known && hasInitialLimit(pod)) untold.add(pod.name);
    else if ((!known || known.isGuess) && pod.report?.limit === INITIAL_LIMIT) adopted.push(pod);
    ledger.set(pod.name, heard(pod, known, input.perPod));
  }
  const live = input.pods.filter(isLive);
  const ending = input.pods.filter((pod) => !isLive(pod));
  const budget = Math.max(0, input.limit - sum(ending, (pod) => committedOf(pod, ledger)));
  const targets = targetShares(live, budget, input.perPod, ledger);
  const raising = { ...input, untold };
  const isTakenBack = takeBack(adopted, raising, ledger);
  const lowered = lower(live, targets, ledger) || isTakenBack;
  const raised = raise(raising, targets, ledger);
  const isNewPod = live.some((pod) => !before.has(pod.name));
  return { ledger, isChanged: lowered || raised || isNewPod };
}

/** What may run in a pod now or before it hears anything new. */
function committedOf(pod: SharePod, ledger: Ledger): number {
  const ceiling = ledger.get(pod.name)?.ceiling ?? INITIAL_LIMIT;
  const running = pod.report?.runningNow ?? 0;
  return pod.state === 'drained' ? running : Math.max(ceiling, running);
}

/** Shares to publish: every living pod's, also the unchanged ones, since messages get lost. */
export function sharesOf(pods: readonly SharePod[], ledger: Ledger): Record<string, number> {
  const shares: Record<string, number> = {};
  for (const pod of pods) {
    const grant = ledger.get(pod.name);
    if (grant && isLive(pod) && !grant.isGuess) shares[pod.name] = grant.granted;
  }
  return shares;
}

/**
 * A follower hears the leader's grants too, so that it can go on from them when it takes over. The leader names every
 * living pod each time: what it names no more and no watch shows is gone, and pods come and go forever.
 */
export function noteShares(
  shares: Readonly<Record<string, number>>,
  before: Ledger,
  isKnownPod: (name: string) => boolean,
): Ledger {
  const ledger = new Map([...before].filter(([name]) => Object.hasOwn(shares, name) || isKnownPod(name)));
  for (const [name, granted] of Object.entries(shares)) {
    const known = ledger.get(name);
    if (known?.granted === granted) continue;
    ledger.set(name, { granted, ceiling: Math.max(known?.ceiling ?? 0, granted), isConfirmed: false });
  }
  return ledger;
}

/** The ledger's line for a pod, brought up to date with its last report. */
function heard(pod: SharePod, grant: Grant | undefined, perPod: number): Grant {
  const limit = pod.report?.limit;
  if (!grant || grant.isGuess) {
    if (!grant && hasInitialLimit(pod)) return { granted: 0, ceiling: INITIAL_LIMIT, isConfirmed: false };
    // A former leader may have granted it anything; its report shows what.
    if (limit === undefined) return { granted: 0, ceiling: perPod, isConfirmed: false, isGuess: true };
    return { granted: limit, ceiling: limit, isConfirmed: true };
  }
  if (limit === undefined) return grant;
  if (limit === grant.granted) return { granted: limit, ceiling: limit, isConfirmed: true };
  // Not (yet) what we said: the message is under way or lost, or the sidecar was restarted.
  return { ...grant, ceiling: Math.max(grant.ceiling, limit), isConfirmed: false };
}

function targetShares(
  live: readonly SharePod[],
  budget: number,
  perPod: number,
  ledger: Ledger,
): Map<string, number> {
  const targets = new Map<string, number>();
  const ready = live.filter((pod) => pod.state === 'ready');
  const starting = live.filter((pod) => pod.state === 'starting').toSorted(byName);
  const spare = Math.max(0, budget - ready.length);
  starting.forEach((pod, i) => targets.set(pod.name, i < spare ? 1 : 0));
  let rest = budget - Math.min(starting.length, spare);
  const order = ready.toSorted((a, b) => weight(b, ledger) - weight(a, ledger) || byName(a, b));
  order.forEach((pod, i) => {
    const share = Math.min(perPod, Math.ceil(rest / (order.length - i)));
    targets.set(pod.name, share);
    rest -= share;
  });
  return targets;
}

/** Who gets what an even split leaves over: waiting callers first, then whoever has it (no churn). */
function weight(pod: SharePod, ledger: Ledger): number {
  return (pod.report?.waiting ? 1e6 : 0) + (ledger.get(pod.name)?.granted ?? 0);
}

function lower(live: readonly SharePod[], targets: Map<string, number>, ledger: Map<string, Grant>): boolean {
  let isChanged = false;
  for (const { name } of live) {
    const grant = ledger.get(name) as Grant;
    const target = targets.get(name) ?? 0;
    if (!grant.isConfirmed || target >= grant.granted) continue;
    ledger.set(name, { granted: target, ceiling: grant.ceiling, isConfirmed: false });
    isChanged = true;
  }
  return isChanged;
}

/**
 * A limit of 1 that a new leader finds may be a grant, or the first limit of a sidecar that nobody has told anything
 * yet. If the limit over all pods does not cover all that it finds, some are of the second kind. Nothing shows which,
 * so all are told 0 first.
 */
function takeBack(adopted: readonly SharePod[], input: Raising, ledger: Map<string, Grant>): boolean {
  if (sum(input.pods, (pod) => heldBy(pod, input, ledger)) <= input.limit) return false;
  for (const { name } of adopted)
    ledger.set(name, { granted: 0, ceiling: INITIAL_LIMIT, isConfirmed: false });
  return adopted.length > 0;
}

/** @param untold new pods, to whom nobody has said anything yet */
type Raising = ShareInput & { readonly untold: ReadonlySet<string> };

/** The smallest grant first, so that a new pod is served before an old one grows. */
function raise(input: Raising, targets: Map<string, number>, ledger: Map<string, Grant>): boolean {
  const live = input.pods.filter(isLive);
  const grantOf = (pod: SharePod) => ledger.get(pod.name) as Grant;
  let free = input.limit - sum(input.pods, (pod) => heldBy(pod, input, ledger));
  let isChanged = false;
  for (const pod of live.toSorted((a, b) => grantOf(a).granted - grantOf(b).granted || byName(a, b))) {
    const grant = grantOf(pod);
    const step = Math.min((targets.get(pod.name) ?? 0) - grant.granted, free);
    // A pod that got no share yet has the initial limit of 1, so a first share of 1 changes nothing. A first share
    // of 0 has to be confirmed like any other: two grants under way could be confirmed by one report.
    const isUntold = input.untold.has(pod.name);
    if (step <= 0 || !(grant.isConfirmed || isUntold)) continue;
    const granted = grant.granted + (isUntold ? Math.min(step, INITIAL_LIMIT) : step);
    ledger.set(pod.name, { granted, ceiling: Math.max(grant.ceiling, granted), isConfirmed: false });
    free -= granted - grant.granted;
    isChanged = true;
  }
  return isChanged;
}

/** As committed, but the one call with which a new pod begins is not held against the others. */
function heldBy(pod: SharePod, { untold }: Raising, ledger: Ledger): number {
  const grant = ledger.get(pod.name);
  const isInitial = untold.has(pod.name) || (pod.report === undefined && !pod.isOld);
  if (isInitial && isLive(pod) && grant && grant.ceiling <= INITIAL_LIMIT) return grant.granted;
  return committedOf(pod, ledger);
}

/** It began under our eyes and shows nothing but its initial limit: nobody has granted it anything. */
function hasInitialLimit(pod: SharePod): boolean {
  return !pod.isOld && (pod.report?.limit ?? INITIAL_LIMIT) === INITIAL_LIMIT;
}

function isLive(pod: SharePod): boolean {
  return pod.state === 'starting' || pod.state === 'ready';
}

function byName(a: SharePod, b: SharePod): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function sum(pods: readonly SharePod[], of: (pod: SharePod) => number): number {
  return pods.reduce((total, pod) => total + of(pod), 0);
}
