/**
 * A simulated day, at some thousand times its speed: what the scaler's rules do with a day of callers, beside
 * what SlimFaas's rules would have done, in the two numbers that matter. With `--write` the plot goes to
 * docs/internals/simulated-day.svg.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bench, Row } from './lib/bench.ts';
import { runDay, type Rule } from './lib/day-model.ts';
import { plotDay, type Line } from './lib/day-plot.ts';
import { ourRule, slimFaasRule } from './lib/day-rules.ts';
import { dayOfCalls } from './lib/day-traffic.ts';

const SEED = 20_261_123;

export const bench: Bench = {
  name: 'day',
  describe: 'replica-seconds and seconds waited over a simulated day, beside SlimFaas’s rules',
  async run({ args, say }) {
    const calls = dayOfCalls(SEED);
    const lines: Line[] = [];
    const rules: [name: string, colour: string, rule: Rule][] = [
      ['slimfaas', '#1a6b34', ourRule()],
      ['SlimFaas, ReplicasAtStart 1', '#a4161a', slimFaasRule(1)],
      ['SlimFaas, ReplicasAtStart 6', '#1f4e9c', slimFaasRule(6)],
    ];
    for (const [name, colour, rule] of rules) {
      lines.push({ name, colour, result: await runDay(calls, rule) });
      say(`${name} done`);
    }
    if (args.includes('--write')) {
      const path = fileURLToPath(new URL('../docs/internals/simulated-day.svg', import.meta.url));
      await writeFile(path, plotDay(calls, lines));
      say(`written: ${path}`);
    }
    return lines.flatMap(({ name, result }): Row[] => [
      { case: name, metric: 'replica-seconds', value: result.replicaSeconds, unit: '' },
      { case: name, metric: 'seconds waited by all callers', value: result.waitedSeconds, unit: 's' },
      { case: name, metric: 'most replicas', value: Math.max(...result.replicas), unit: '' },
      { case: name, metric: 'longest line', value: Math.max(...result.waiting), unit: 'callers' },
    ]);
  },
};
