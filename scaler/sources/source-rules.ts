/**
 * What the main thread and the queries' thread tell each other about sources outside. A source of a function is one
 * rule; each of the function's triggers that name it is one question of the rule.
 *
 * Room `scaler/sources`: Asks what lies outside how much work there is.
 * Comes in: sources of functions, their Secrets.
 * Goes out: one value for each trigger, or why there is none.
 */
import type { ScaleTrigger, SourceSpec } from '../../common/function/spec.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

/** From the source's Secret; each part is optional. */
export interface Credentials {
  readonly token?: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface SourceQuestion {
  /** With the function's names filled in; empty where the source has no queries. */
  readonly query: string;
  readonly metricName: string;
  /** The value is to be in parts of what the source says that one pod can take. */
  readonly hasOwnTarget: boolean;
}

export interface SourceRule {
  /** A number from 1 on that no other rule has, nor had. */
  readonly id: number;
  readonly of: FunctionId;
  readonly source: SourceSpec;
  readonly questions: readonly SourceQuestion[];
  readonly credentials: Credentials;
}

export interface SourceReading {
  /** undefined: no valid data. */
  readonly value: number | undefined;
  /** False: part of what a query looks back on is missing; default true. */
  readonly isWhole?: boolean;
  readonly isActive?: boolean;
  readonly fault?: string;
}

export interface SourceAnswer {
  readonly id: number;
  readonly atMs: number;
  /** In the order of the rule's questions. */
  readonly readings: readonly SourceReading[];
}

/** One source, as it is asked. */
export interface SourceReader {
  /** One reading for each question, in order. Rejects when the source cannot be asked. */
  read(signal: AbortSignal): Promise<readonly SourceReading[]>;
  /** Begins to tell when something has changed there; called again after each good answer. */
  follow?(onChange: () => void): void;
  /** In how many ms the answer will be another one, where that is known. */
  nextInMs?(): number;
  close(): void;
}

/** The question of a trigger. */
export function questionKey({ query, metricName, hasOwnTarget = false }: QuestionOfTrigger): string {
  return JSON.stringify([query, metricName, hasOwnTarget]);
}

type QuestionOfTrigger = Pick<ScaleTrigger, 'query' | 'metricName' | 'hasOwnTarget'>;
