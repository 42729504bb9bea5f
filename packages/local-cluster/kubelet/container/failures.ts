/** Faults on request, for tests: what the kubelet pretends until the returned release is called. */
import { imageName } from './images.ts';
import type { ContainerSpec } from '../pods/pod-spec.ts';

export interface KubeletFailures {
  /** Pulls of this image (its short name) fail with this message. */
  failPull(image: string, message?: string): () => void;
  /** Containers of this name end at once with 1, each time they are started. */
  crash(container: string): () => void;
  /** Readiness is reported so many milliseconds late. */
  slowReadiness(delayMs: number): () => void;
}

export class SimulatedFailures implements KubeletFailures {
  readonly #pulls = new Map<string, string>();
  readonly #crashes = new Set<string>();
  #readinessDelayMs = 0;

  failPull(
    image: string,
    message = 'rpc error: code = NotFound desc = failed to pull and unpack image: not found',
  ) {
    this.#pulls.set(image, message);
    return () => void this.#pulls.delete(image);
  }

  crash(container: string) {
    this.#crashes.add(container);
    return () => void this.#crashes.delete(container);
  }

  slowReadiness(delayMs: number) {
    this.#readinessDelayMs = delayMs;
    return () => void (this.#readinessDelayMs = 0);
  }

  pullError(image: string): string | undefined {
    return this.#pulls.get(imageName(image));
  }

  isCrashing({ name }: ContainerSpec): boolean {
    return this.#crashes.has(name);
  }

  get readinessDelayMs(): number {
    return this.#readinessDelayMs;
  }
}
