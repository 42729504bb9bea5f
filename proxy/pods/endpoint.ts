/**
 * One pod as a place to send calls to: whether it takes calls, and how many it has room for as far as we
 * know. The sidecar is the authority on room; what is kept here is a belief that saves refusals, corrected
 * by every answer, share and report.
 */
import type { ReadyMessage } from '../../common/bus/messages.ts';
import { compareAnnounced, type AnnouncementOrder } from '../../common/bus/announcement-order.ts';
import type { RelayTarget } from '../../common/relay/index.ts';
import { HEADER } from '../../common/function/names.ts';
import { podIdentity } from '../../common/places/protocol.ts';
import type { PodView } from './pod-view.ts';
import type { Prover } from './prover.ts';

export type EndpointState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready'; readonly by: 'sidecar' | 'kubernetes' }
  | { readonly kind: 'draining' }
  | { readonly kind: 'gone' };

/** Whether the pod answered when it was last tried. */
type Health =
  { readonly kind: 'ok' } | { readonly kind: 'suspect'; readonly why: string; readonly isAppsFault?: true };

export class Endpoint {
  readonly #prover: Prover | undefined;
  #view: PodView;
  #target: RelayTarget | undefined;
  #wasKubeReady = false;
  #announcedReady = false;
  #announcedDraining = false;
  /** The latest state that its sidecar reported; see common/bus/announcement-order.ts. */
  #lastAnnounced: AnnouncementOrder | undefined;
  #isGone = false;
  #hasMoved = false;
  /** Proven by its sidecar, while Kubernetes has reported none. */
  #ownAddress = '';
  /** While a place line is open: whether calls wait for the pod's grants. */
  #areCallsQueued: (() => boolean) | undefined;
  #callHeaders: readonly string[] | undefined;
  #share: number | undefined;
  #health: Health = { kind: 'ok' };
  #isProbe = false;
  #limit: number;
  #others = 0;
  /** Calls that this proxy runs in the pod. */
  #inFlight = 0;

  /** @param prover undefined: this proxy proves nothing */
  constructor(view: PodView, prover?: Prover) {
    this.#view = view;
    this.#prover = prover;
    this.#wasKubeReady = view.isKubeReady;
    const perPod = view.spec?.parallelPerPod ?? 1;
    // A limit over all pods: a sidecar admits one call until it hears its share (docs/internals/architecture.md).
    this.#limit = view.spec?.parallelLimit !== undefined && view.hasSidecar ? 1 : perPod;
  }

  get view(): PodView {
    return this.#view;
  }

  get host(): string {
    return this.#view.ip || this.#ownAddress;
  }

  get port(): number | undefined {
    return this.#view.port;
  }

  /** The same object each time: the relay knows its pool by it. */
  get target(): RelayTarget {
    const { host } = this;
    const { port = 0 } = this.#view;
    if (this.#target?.host !== host || this.#target.port !== port)
      this.#target = { host, port, ...(this.#provesItself && { greeting: () => this.#greeting() }) };
    return this.#target;
  }

  /** What opens a connection to its sidecar; undefined: it asks for none, or we cannot make it. */
  get proof(): string | undefined {
    return this.#prover?.proofFor(this, this.#view);
  }

  /** A port of the pod by its number, or by the name that a container gives it. */
  portOf(target: string): number | undefined {
    if (!/^\d+$/.test(target)) return this.#view.portNames?.get(target);
    const port = Number(target);
    return port >= 1 && port <= 65_535 ? port : undefined;
  }

  get hasSidecar(): boolean {
    return this.#view.hasSidecar;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get limit(): number {
    return this.#limit;
  }

  get state(): EndpointState {
    if (this.#isGone || this.#hasMoved || this.#view.isEnded) return { kind: 'gone' };
    if (this.#view.isTerminating || this.#announcedDraining) return { kind: 'draining' };
    if (this.host === '' || this.#view.port === undefined) return { kind: 'starting' };
    if (this.#view.isKubeReady) return { kind: 'ready', by: 'kubernetes' };
    // The sidecar's report bridges the time until Kubernetes has looked once; from then on Kubernetes decides.
    if (this.#announcedReady && !this.#wasKubeReady) return { kind: 'ready', by: 'sidecar' };
    return { kind: 'starting' };
  }

  get isReady(): boolean {
    return this.state.kind === 'ready';
  }

  /** Why the last try failed, while no later one succeeded. */
  get suspicion(): string | undefined {
    return this.#health.kind === 'suspect' ? this.#health.why : undefined;
  }

  /** Its sidecar says that the app takes no calls, whatever Kubernetes says: no place to send calls to. */
  get isAppDown(): boolean {
    return this.#health.kind === 'suspect' && this.#health.isAppsFault === true;
  }

  /** Places that we believe to be free. */
  get free(): number {
    if (this.#isProbe) return 1;
    if (this.#health.kind === 'suspect' || this.#areCallsQueued?.()) return 0;
    return this.#limit - this.#inFlight - this.#others;
  }

  /** Believed load as a share of the limit: pods with unequal shares fill up evenly. */
  get load(): number {
    return (this.#inFlight + this.#others) / Math.max(1, this.#limit);
  }

  /** Others run calls there, or it is suspect, as far as we know. */
  get isBelievedBusy(): boolean {
    return this.#others > 0 || this.#health.kind === 'suspect';
  }

  /** Full only because of what others run there, or suspect: trying is the way to know better. */
  get isWorthProbing(): boolean {
    if (this.#areCallsQueued?.()) return false; // the pod will say when
    if (this.#health.kind === 'suspect') return this.#inFlight === 0;
    return this.#view.hasSidecar && (this.#others > 0 || this.#limit === 0) && this.free <= 0;
  }

  /** The last share heard of the scaler. */
  get share(): number | undefined {
    return this.#share;
  }

  /** What every call to its sidecar says; the same object each time. */
  get callHeaders(): readonly string[] {
    const { namespace, name } = this.#view;
    return (this.#callHeaders ??= [HEADER.queue, 'none', HEADER.for, podIdentity(namespace, name)]);
  }

  /**
   * Places in it are granted by turns while `areCallsWaiting`; undefined: no longer, what we believe counts again.
   */
  queueBy(areCallsWaiting: (() => boolean) | undefined): void {
    this.#areCallsQueued = areCallsWaiting;
  }

  /** A place is held there for us: it takes calls. */
  granted(): void {
    this.#health = { kind: 'ok' };
  }

  /** Another pod answers at its address. Gone for us until the watch brings a new address or start. */
  movedAway(): void {
    this.#hasMoved = true;
  }

  /** Lets one call through whatever we believe; the sidecar decides. */
  probe(): void {
    this.#isProbe = true;
  }

  take(): void {
    this.#isProbe = false;
    this.#inFlight++;
  }

  giveBack(): void {
    if (this.#inFlight === 0) throw new RangeError(`${this.#view.name}: a place was given back twice`);
    this.#inFlight--;
  }

  /** The load as the pod itself reports it, in an answer or a report: `running` includes our calls. */
  learned(running: number, limit: number): void {
    this.#limit = limit;
    this.#others = Math.max(0, running - this.#inFlight);
    // A sidecar whose app takes no calls reports too: with room for none. It would start the cold clock again each time.
    if (limit > 0 || !this.isAppDown) this.#health = { kind: 'ok' };
  }

  shared(limit: number): void {
    this.#share = limit;
    this.#limit = limit;
  }

  answered(): void {
    this.#health = { kind: 'ok' };
  }

  /** The sidecar sent a call back. To be told after the call's place was given back. */
  refusedFull(): void {
    this.#health = { kind: 'ok' };
    this.#others = Math.max(this.#others, this.#limit - this.#inFlight);
  }

  failed(why: string): void {
    this.#health = { kind: 'suspect', why };
  }

  /** @param trouble what its sidecar's last check of the app found; undefined: an older sidecar does not say */
  appFailed(trouble: string | undefined): void {
    const why =
      trouble === undefined
        ? 'its app does not take calls'
        : `its app takes no calls: ${trouble.slice(0, 200)}`;
    this.#health = { kind: 'suspect', why, isAppsFault: true };
  }

  /** What its sidecar says of itself, unless it has said something else since. */
  heard(message: Pick<ReadyMessage, 'state'> & AnnouncementOrder): void {
    const order = compareAnnounced(message, this.#lastAnnounced);
    if (order < 0) return;
    this.#lastAnnounced = message;
    if (message.state === 'draining') return this.markDraining();
    if (order > 0) this.#announcedDraining = false; // it runs again, or has taken its drain back
    this.#announcedReady = true;
    this.#health = { kind: 'ok' };
  }

  /**
   * From a report: the run of the sidecar that said `draining` is over when a later one reports. It matters where a
   * sidecar never says `ready`, because Kubernetes alone runs the pod's probe.
   * @returns whether the state may have changed
   */
  heardStart(start: number | undefined): boolean {
    if (start === undefined || start <= (this.#lastAnnounced?.start ?? 0)) return false;
    const wasDraining = this.#announcedDraining;
    this.#lastAnnounced = { start, seq: -1 };
    this.#announcedDraining = false;
    return wasDraining;
  }

  /** Its sidecar has proven to be at this address. What Kubernetes says counts more. */
  provedAddress(ip: string): void {
    this.#ownAddress = ip;
  }

  /** Counts for the run of the sidecar that we know of, because an answer tells no number. */
  markDraining(): void {
    this.#announcedDraining = true;
  }

  /** The watch brought a newer version of the same pod (same uid). */
  update(view: PodView): void {
    const known = this.host;
    const isNewAddress = view.ip !== known && (view.ip !== '' || this.#view.ip !== '');
    const isNewlyReady = view.isKubeReady && !this.#view.isKubeReady;
    if (view.ip !== '') this.#ownAddress = '';
    if (isNewAddress && known !== '') this.#announcedReady = false;
    if (isNewAddress) this.#hasMoved = false;
    // Without a readiness probe Kubernetes calls a pod ready whose port refuses; its sidecar knows better.
    if (isNewAddress || (isNewlyReady && !this.isAppDown)) this.#health = { kind: 'ok' };
    this.#wasKubeReady ||= view.isKubeReady;
    this.#view = view;
  }

  gone(): void {
    this.#isGone = true;
  }

  get #provesItself(): boolean {
    return this.#prover !== undefined && this.#view.proxyKeys.length > 0;
  }

  #greeting(): string {
    const { proof } = this;
    return proof === undefined ? '' : `${HEADER.proof}: ${proof}\r\n`;
  }
}
