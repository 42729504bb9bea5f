/**
 * Container logs for a person at a terminal: pino's JSON lines become `12:01:02 proxy  info  message key=value`,
 * anything else is shown as it is behind the pod's name.
 */
import type { LogEntry } from './kubelet/pods/kubelet-options.ts';

const HIDDEN = new Set(['level', 'time', 'part', 'pod', 'msg', 'stack']);
/** Wide enough for the parts' names and most functions'. */
const WHO_WIDTH = 16;

export function readableLine(entry: LogEntry, now = new Date()): string {
  const fields = parseLine(entry.line);
  if (!fields) return `${clock(now)} ${who(entry)} ${entry.line}`;
  const level = String(fields['level'] ?? '').padEnd(5);
  const rest = Object.entries(fields).filter(([name]) => !HIDDEN.has(name));
  const pairs = rest.map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [clock(new Date(String(fields['time']))), who(entry), level, String(fields['msg']), ...pairs].join(
    ' ',
  );
}

function parseLine(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    return typeof value['msg'] === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The pod without its random tail, which nobody reads: `slimfaas-proxy-6d5f…-abcde` → `proxy`. */
function who({ pod, container }: LogEntry): string {
  const name = pod
    .replace(/-[b-df-hj-np-tv-xz2-9]{6,10}-[a-z0-9]{5}$/, '')
    .replace(/^slimfaas-(?=proxy|scaler|webhook|nats)/, '');
  return (container === 'slimfaas-sidecar' ? `${name}/sidecar` : name).padEnd(WHO_WIDTH);
}

function clock(date: Date): string {
  return Number.isNaN(date.getTime()) ? '--:--:--' : date.toTimeString().slice(0, 8);
}
