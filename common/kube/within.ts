/** A time limit for one request to the Kubernetes API. The client library has none, so a stalled one would never end. */
import { Observable, type ConfigurationOptions, type ObservableMiddleware } from '@kubernetes/client-node';

/** Options that give a request so much time for its answer. */
export function within(timeoutMs: number): ConfigurationOptions {
  const middleware: ObservableMiddleware = {
    pre(context) {
      context.setSignal(AbortSignal.timeout(timeoutMs));
      return new Observable(Promise.resolve(context));
    },
    post: (context) => new Observable(Promise.resolve(context)),
  };
  return { middleware: [middleware], middlewareMergeStrategy: 'append' };
}
