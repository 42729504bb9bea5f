/**
 * Readers of annotation values that are plain text: numbers, booleans, words, lists. A reader answers with the
 * value or with what it would have allowed, and knows neither the annotation nor its default.
 */
import type { AppProtocol, Visibility } from '../spec.ts';

export type ReadResult<T> = { readonly value: T } | { readonly allowed: string };
export type Reader<T> = (text: string) => ReadResult<T>;

/** Kubernetes counts replicas in an int32; more than that is a typing error anywhere here. */
export const MAX_INT = 2_147_483_647;

export function int(min: number, max: number = MAX_INT): Reader<number> {
  const allowed = max === MAX_INT ? `a whole number ≥ ${min}` : `a whole number from ${min} to ${max}`;
  return (text) => {
    const value = /^\+?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? { value } : { allowed };
  };
}

export const bool: Reader<boolean> = (text) => {
  const lower = text.toLowerCase();
  return lower === 'true' || lower === 'false' ? { value: lower === 'true' } : { allowed: 'true or false' };
};

/** One of some words, in any case, as SlimFaas takes them. */
export function word<T extends string>(...words: readonly T[]): Reader<T> {
  return (text) => {
    const value = words.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
    return value === undefined ? { allowed: words.join(' or ') } : { value };
  };
}

/** The values that a Service's `appProtocol` has for the same, and `http1`, which there is none for. */
export const appProtocol: Reader<AppProtocol> = (text) => {
  const read = word('http1', 'https', 'h2c', 'grpc', 'kubernetes.io/h2c')(text);
  if ('allowed' in read) return { allowed: 'http1, https, h2c or grpc' };
  return { value: read.value === 'http1' || read.value === 'https' ? read.value : 'h2c' };
};

/** `registry/name:tag@digest`: only what no image reference can hold is refused. */
export const image: Reader<string> = (text) =>
  /^[A-Za-z0-9][\w./:@-]*$/.test(text) ? { value: text } : { allowed: 'an image reference' };

/** Items of a comma list, trimmed, without the empty ones. */
export function commaItems(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** A comma list or a JSON array of strings; undefined when it starts as JSON and is not such an array. */
export function listItems(text: string): string[] | undefined {
  if (!text.startsWith('[')) return commaItems(text);
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) return undefined;
    return value.map((item) => item.trim()).filter((item) => item !== '');
  } catch {
    return undefined;
  }
}

/** RFC 1123 subdomain: what the API server accepts as a workload's name. */
export function isWorkloadName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text);
}

/** One segment of `/publish-event/{event}/…`. */
export function isEventName(text: string): boolean {
  return /^[^\s/?#\p{Cc}]+$/u.test(text);
}

export interface VisibleItem {
  readonly visibility: Visibility;
  readonly text: string;
  /** The prefix, where one was written that is neither Public nor Private. */
  readonly unknownPrefix?: string;
}

/**
 * `[Public:|Private:]text`. A colon may also be part of the text (`/a:b`), so only letters before it make a
 * prefix. An unknown prefix is most likely a misspelt `Private`, and a typing error must not open what was
 * meant to be closed: it counts as Private.
 */
export function visibleItem(item: string, fallback: Visibility): VisibleItem {
  const match = /^([A-Za-z]+)\s*:\s*(.*)$/s.exec(item);
  if (!match) return { visibility: fallback, text: item };
  const [, prefix, text] = match as unknown as [string, string, string];
  const read = word<Visibility>('Public', 'Private')(prefix);
  if ('value' in read) return { visibility: read.value, text };
  return { visibility: 'Private', text, unknownPrefix: prefix };
}
