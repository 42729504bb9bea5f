/** What a function's triggers have answered, as readings for a recommendation, as a reason to stay up, and in words. Pure. */
import { isBuiltIn } from '../../common/function/built-in-triggers.ts';
import type { ScaleTrigger } from '../../common/function/spec.ts';
import type { AnswerStanding, TriggerAnswers } from '../sizing/trigger-answers.ts';
import type { EffectiveScale, Recommendation, TriggerReading } from '../sizing/triggers.ts';
import type { TriggerUse } from '../decide/types.ts';

/** Without those that count no more. */
export function readingsOf(
  triggers: readonly ScaleTrigger[],
  answers: TriggerAnswers,
  nowMs: number,
): TriggerReading[] {
  const readings: TriggerReading[] = [];
  for (const trigger of triggers) {
    const standing = answers.standing(trigger, nowMs);
    if (standing.kind === 'answered') {
      const { value, isWhole } = standing.answer;
      readings.push({ trigger, value, isWhole });
    } else if (standing.kind === 'kept')
      readings.push({ trigger, value: undefined, kept: standing.answer.replicas });
    else if (standing.kind === 'awaited') readings.push({ trigger, value: undefined });
  }
  return readings;
}

interface Answered {
  readonly scale: EffectiveScale;
  readonly answers: TriggerAnswers;
}

/** Only queries: what the built-in metrics count keeps a function up by itself. */
export function useOf({ scale, answers }: Answered, nowMs: number): TriggerUse {
  const queries = scale.triggers.filter((trigger) => !isBuiltIn(trigger));
  for (const trigger of queries) {
    const standing = answers.standing(trigger, nowMs);
    if (standing.kind !== 'answered' && standing.kind !== 'kept') continue;
    if (!standing.answer.isActive) continue;
    const old = standing.kind === 'kept' ? ' (its last answer)' : '';
    return { active: `${activity(trigger, standing.answer.value)}${old}` };
  }
  const awaited = queries.find(
    (trigger) => answers.isAwaited(trigger, nowMs) || isUnsure(answers.standing(trigger, nowMs)),
  );
  return awaited === undefined ? {} : { awaited: nameOf(awaited) };
}

/** Where part of the data is missing, "no work" is not known. */
function isUnsure(standing: AnswerStanding): boolean {
  return standing.kind === 'answered' && !standing.answer.isWhole;
}

/** What wakes it: what is known now. An answer of an earlier time leaves a sleeping function asleep. */
export function wakeOf({ scale, answers }: Answered, nowMs: number): TriggerUse {
  let active: string | undefined;
  let wanted = 0;
  for (const trigger of scale.triggers) {
    if (isBuiltIn(trigger)) continue;
    const standing = answers.standing(trigger, nowMs);
    if (standing.kind !== 'answered') continue;
    const { value, replicas, isActive } = standing.answer;
    if (!isActive) continue;
    active ??= activity(trigger, value);
    wanted = Math.max(wanted, replicas);
  }
  return active === undefined ? {} : { active, wanted };
}

/** A source may say that there is work whatever the value. */
function activity(trigger: ScaleTrigger, value: number): string {
  const isAbove = value > trigger.activationThreshold;
  return `${nameOf(trigger)} is ${round(value)}${isAbove ? `, above ${trigger.activationThreshold}` : ' and active'}`;
}

function nameOf({ metricName, query, source = '' }: ScaleTrigger): string {
  const name = metricName || query || source;
  return name.length > 60 ? `${name.slice(0, 59)}…` : name;
}

export function wording({ lead, isPartial }: Recommendation, desired: number): string {
  const missing = isPartial ? '; some triggers lack data' : '';
  if (lead?.value === undefined) return `wants ${desired}${missing}`;
  const name = nameOf(lead.trigger);
  const per = lead.trigger.metricType === 'AverageValue' ? 'a pod' : 'in all';
  return `${name} ${round(lead.value)} at ${lead.trigger.threshold} ${per} wants ${desired}${missing}`;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
