/**
 * Loopback addresses of this process's own: a port of one that is closed and listened on again cannot have been
 * taken by another test file meanwhile, as a port of 127.0.0.1 can. Local clusters use 127.16 to 127.250; these lie
 * below. Two processes get the same 24 bits in one of 3,584 cases, and then still other ports.
 */
const FIRST = 2;
const COUNT = 14;

let last = 0;

export function ownAddress(): string {
  const { pid } = process;
  last = (last % 254) + 1;
  return `127.${FIRST + ((pid >> 8) % COUNT)}.${pid & 255}.${last}`;
}
