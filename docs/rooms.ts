/**
 * The rooms of the code: what each does, where to begin to read, and which rooms of its own part it may use.
 * `npm run docs` writes the pictures and the tables in internals/architecture.md from it, and test/architecture.test.ts holds the imports
 * to it. Every room may use any room of `common/` that the floors allow; see the test.
 */
import { COMMON } from './rooms/common.ts';
import { CONTROL } from './rooms/control.ts';
import { DATA_PATH } from './rooms/data-path.ts';
import type { Line } from './rooms/line.ts';
import { LOCAL_CLUSTER } from './rooms/local-cluster.ts';

export interface Room {
  /** The file to read first. Its head comment says what the room does. */
  readonly face: string;
  readonly does: string;
  readonly comesIn: string;
  readonly goesOut: string;
  /** Rooms of the same part that its files may import. */
  readonly uses: readonly string[];
}

const LINES: Readonly<Record<string, Line>> = { ...COMMON, ...DATA_PATH, ...CONTROL, ...LOCAL_CLUSTER };

export const ROOMS: ReadonlyMap<string, Room> = new Map(
  Object.entries(LINES).map(([room, [face, does, comesIn, goesOut, uses = '']]) => [
    room,
    { face: `${room}/${face}`, does, comesIn, goesOut, uses: uses.split(' ').filter((name) => name !== '') },
  ]),
);

/** Files beside the rooms: what puts a part together, its flags, and its entry. */
export const COMPOSITION: Readonly<Record<string, string>> = {
  proxy: 'start.ts flags.ts proxy-state.ts state-gauges.ts servers.ts ports.ts clock.ts',
  sidecar: 'start.ts config.ts core.ts parts.ts context.ts stats.ts',
  scaler: 'start.ts listen.ts flags.ts',
  webhook: 'start.ts flags.ts server.ts review.ts admin.ts metrics.ts kube.ts',
  cli: 'main.ts image.ts run.ts errors.ts sidecar.ts commands.ts people-flags.ts local.ts build.ts merge-chunks.ts',
  'packages/local-cluster': 'start.ts cluster.ts flags.ts addresses.ts apply.ts drain.ts log-lines.ts',
};

/** The table of docs/internals/architecture.md. */
export function roomsTable(): string {
  const tops = [...new Set([...ROOMS.keys()].map((room) => room.replace(/\/[^/]*$/, '')))];
  return tops
    .map((top) => {
      const rows = [...ROOMS].filter(([room]) => room.replace(/\/[^/]*$/, '') === top);
      const lines = rows.map(([room, { face, does, comesIn, goesOut, uses }]) => {
        const first = face.slice(room.length + 1);
        const others = uses.map((name) => name.slice(top.length + 1)).join(', ');
        return `| \`${room.slice(top.length + 1)}\` | ${does} | ${comesIn} | ${goesOut} | \`${first}\` | ${others} |`;
      });
      const composition = COMPOSITION[top];
      const beside =
        composition === undefined ? '' : `\nBeside the rooms: \`${composition.replaceAll(' ', '`, `')}\`.\n`;
      return [
        `### \`${top}/\``,
        '',
        ...pictureOf(top, rows),
        '',
        '| room | what it does | comes in | goes out | read first | uses of this part |',
        '|---|---|---|---|---|---|',
        ...lines,
        beside,
      ].join('\n');
    })
    .join('\n');
}

/** Rooms as boxes, and an arrow to each room that one uses; in the language of Mermaid, which GitHub draws. */
function pictureOf(top: string, rows: readonly (readonly [string, Room])[]): string[] {
  // A box named `call` would be read as a keyword.
  const idOf = (room: string): string => `${room.slice(top.length + 1)}Room`;
  return [
    '```mermaid',
    'flowchart LR',
    ...rows.map(([room]) => `  ${idOf(room)}["${room.slice(top.length + 1)}"]`),
    ...rows.flatMap(([room, { uses }]) => uses.map((used) => `  ${idOf(room)} --> ${idOf(used)}`)),
    '```',
  ];
}

export const ROOMS_BEGIN = '<!-- rooms: written by npm run docs from docs/rooms.ts -->';
export const ROOMS_END = '<!-- /rooms -->';

/** @returns the page with the table between its marks written again */
export function withRooms(page: string): string {
  const begin = page.indexOf(ROOMS_BEGIN);
  const end = page.indexOf(ROOMS_END);
  if (begin < 0 || end < begin) throw new Error(`the page has no ${ROOMS_BEGIN} … ${ROOMS_END}`);
  return `${page.slice(0, begin + ROOMS_BEGIN.length)}\n\n${roomsTable()}\n${page.slice(end)}`;
}
