/**
 * A request body of which the test gives every piece, and that notes what it is told.
 */
import type { BodyConsumer, BodySource } from '../../../../common/relay/index.ts';

export class HandBody implements BodySource {
  readonly length: number | undefined;
  consumer: BodyConsumer | undefined;
  readonly calls: string[] = [];

  constructor(length?: number) {
    this.length = length;
  }

  get canStart(): boolean {
    return this.consumer === undefined;
  }

  start(consumer: BodyConsumer): void {
    this.calls.push('start');
    this.consumer = consumer;
  }

  pause(): void {
    this.calls.push('pause');
  }

  resume(): void {
    this.calls.push('resume');
  }

  stop(): void {
    this.calls.push('stop');
  }
}
