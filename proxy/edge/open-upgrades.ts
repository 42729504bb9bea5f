/**
 * The upgraded connections that are open or wait. They may last forever, so an ending proxy does not wait for them.
 * Those that wait are closed, a WebSocket gets a close frame, and their clients connect to another proxy.
 */
import { ReasonError } from '../../common/runtime/errors.ts';

export interface OpenUpgrade {
  goAway(): void;
}

export class OpenUpgrades {
  readonly #upgrades = new Set<OpenUpgrade>();
  #isClosing = false;

  get size(): number {
    return this.#upgrades.size;
  }

  /**
   * Returns its release.
   * @throws ReasonError shutting-down, once {@link closeAll} was called: nobody would close it
   */
  add(upgrade: OpenUpgrade): () => void {
    if (this.#isClosing)
      throw new ReasonError('shutting-down', 'the proxy ends; connect again', { retryAfterSeconds: 1 });
    this.#upgrades.add(upgrade);
    return () => this.#upgrades.delete(upgrade);
  }

  closeAll(): void {
    this.#isClosing = true;
    for (const upgrade of this.#upgrades) upgrade.goAway();
  }
}
