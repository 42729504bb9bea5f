/** The day as an SVG: load, replicas and waiting callers over the same hours. Pure text, no library. */
import type { DayResult } from './day-model.ts';

export interface Line {
  readonly name: string;
  readonly colour: string;
  readonly result: DayResult;
}

const WIDTH = 960;
const PANEL = { left: 60, right: 20, height: 150, gap: 46, top: 60 };
/** A pixel for each two minutes; the peak of them, so that a burst is not averaged away. */
const BUCKET_SECONDS = 120;

export function plotDay(calls: Uint16Array, lines: readonly Line[]): string {
  const panels = [
    panel(0, 'callers a second', [{ name: 'callers', colour: '#57606a', values: peaks(calls) }]),
    panel(
      1,
      'replicas',
      lines.map(({ name, colour, result }) => ({ name, colour, values: peaks(result.replicas) })),
    ),
    panel(
      2,
      'callers waiting',
      lines.map(({ name, colour, result }) => ({ name, colour, values: peaks(result.waiting) })),
    ),
  ];
  const height = PANEL.top + 3 * (PANEL.height + PANEL.gap);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...legend(lines),
    ...panels,
    '</svg>',
    '',
  ].join('\n');
}

function peaks(values: Uint16Array | Uint32Array): number[] {
  const count = Math.ceil(values.length / BUCKET_SECONDS);
  return Array.from({ length: count }, (_, i) =>
    Math.max(...values.subarray(i * BUCKET_SECONDS, (i + 1) * BUCKET_SECONDS)),
  );
}

interface Curve {
  readonly name: string;
  readonly colour: string;
  readonly values: readonly number[];
}

function panel(index: number, title: string, curves: readonly Curve[]): string {
  const top = PANEL.top + index * (PANEL.height + PANEL.gap);
  const most = Math.max(1, ...curves.flatMap(({ values }) => values));
  const width = WIDTH - PANEL.left - PANEL.right;
  const y = (value: number) => top + PANEL.height - (value / most) * PANEL.height;
  const path = ({ values }: Curve) =>
    values
      .map(
        (value, i) =>
          `${i === 0 ? 'M' : 'L'}${(PANEL.left + (i / (values.length - 1)) * width).toFixed(1)} ${y(value).toFixed(1)}`,
      )
      .join('');
  const hours = [0, 4, 8, 12, 16, 20, 24].map((hour) => {
    const x = PANEL.left + (hour / 24) * width;
    return `<text x="${x}" y="${top + PANEL.height + 16}" text-anchor="middle" fill="#57606a">${hour}:00</text>`;
  });
  return [
    `<text x="${PANEL.left}" y="${top - 6}" font-weight="bold">${title}</text>`,
    `<text x="${PANEL.left - 6}" y="${top + 10}" text-anchor="end" fill="#57606a">${most}</text>`,
    `<text x="${PANEL.left - 6}" y="${top + PANEL.height}" text-anchor="end" fill="#57606a">0</text>`,
    `<rect x="${PANEL.left}" y="${top}" width="${width}" height="${PANEL.height}" fill="none" stroke="#d0d7de"/>`,
    ...hours,
    ...curves.map(
      (curve) => `<path d="${path(curve)}" fill="none" stroke="${curve.colour}" stroke-width="1.3"/>`,
    ),
  ].join('\n');
}

function legend(lines: readonly Line[]): string[] {
  return lines.map(({ name, colour, result }, i) => {
    const numbers = `${thousands(result.replicaSeconds)} replica-seconds, ${thousands(result.waitedSeconds)} seconds waited`;
    return `<text x="${PANEL.left + i * 300}" y="16" fill="${colour}"><tspan font-weight="bold">${name}</tspan><tspan x="${PANEL.left + i * 300}" dy="13" font-size="10">${numbers}</tspan></text>`;
  });
}

function thousands(value: number): string {
  return value >= 10_000 ? `${Math.round(value / 1_000)} k` : String(value);
}
