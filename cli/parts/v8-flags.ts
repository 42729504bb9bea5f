/**
 * V8's settings for a process that carries requests. Measured with the proxy and 64 B answers, each against the same
 * code without it (docs/decisions/relay.md).
 *
 * They have a price: V8 uses compiled code only under the flags that it was compiled with. So Node compiles each of its
 * own modules that is loaded later from source. A starting sidecar spent a sixth of its CPU on that, and sets the flags
 * when it has loaded what it needs.
 *
 * Pretenuring off: V8 counts how many of a class's first objects survive a collection and, if most do, allocates that
 * class in the old generation forever. While a process warms up or a burst is in flight, most requests survive. So in
 * two starts of three, by chance, a proxy puts every request's objects there. They are dead at once, and keep alive
 * whatever they refer to until the next full collection. Measured in such a process: 53 µs of CPU per call instead of
 * 38, of which 17 % is in the collector. Memory is 350 to 430 MB instead of 215. Given up: nothing that could be
 * measured; what really lives long is promoted by surviving, as ever.
 *
 * Room for what one call goes through. V8 remembers for up to four kinds of objects at one place of code where their
 * fields are. Node's streams and server meet more (eight: 3 % less CPU per call). And a call is one long chain of
 * small functions. The optimising compiler stops joining them after 920 bytes of byte code in all, and never joins
 * one above 460. (2,000 and 1,000 save 3 to 6 %; 5,000 was worse again.) Both together: 6 %. Given up: some memory
 * for longer machine code, less than could be measured.
 */
import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';

const FLAGS = [
  '--no-allocation-site-pretenuring',
  '--max-valid-polymorphic-map-count=8',
  '--max-inlined-bytecode-size=1000',
  '--max-inlined-bytecode-size-cumulative=2000',
];

/** What is loaded before keeps its compiled code, in memory and in Node's compile cache; what is loaded later has none. */
export function setV8Flags(): void {
  // The cache is written at the end of a process as well. Then V8 would note these flags with code that is loaded before.
  flushCompileCache();
  for (const flag of FLAGS) setFlagsFromString(flag);
}
