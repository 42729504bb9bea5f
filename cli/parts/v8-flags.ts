/**
 * V8's settings for a process that carries requests; to be imported before anything else. Measured with the proxy
 * and 64 B answers, each against the same code without it (docs/decisions/relay.md).
 *
 * Pretenuring off: V8 counts how many of a class's first objects survive a collection and, if most do, allocates
 * that class in the old generation forever. While a process warms up or a burst is in flight most requests survive,
 * so now and then (in two starts of three, by chance) a proxy puts every request's objects there: dead at once, and
 * keeping alive whatever they refer to until the next full collection. Measured in such a process: 53 µs of CPU
 * a call instead of 38, 17 % of it in the collector, and 350 to 430 MB of memory instead of 215. Given up: nothing
 * that could be measured; what really lives long is promoted by surviving, as ever.
 *
 * Room for what one call goes through. Node's streams and server meet more kinds of objects at one place of code than
 * the four up to which V8 remembers where their fields are (eight: 3 % less CPU a call). And a call is one long chain
 * of small functions, which the optimising compiler stops to join after 920 bytes of byte code in all and never joins
 * above 460 each (2,000 and 1,000: 3 to 6 %; 5,000 were worse again). Both together: 6 %. Given up: some memory for
 * longer machine code, less than could be measured.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--no-allocation-site-pretenuring');
setFlagsFromString('--max-valid-polymorphic-map-count=8');
setFlagsFromString('--max-inlined-bytecode-size=1000');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');
