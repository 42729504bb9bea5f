/** Operators between scalars and vectors, and how the series of two vectors find each other. */
import type { Binary, BinaryOp, Matching } from '../parse/ast.ts';
import { isComparison } from '../parse/check.ts';
import { PromqlError } from '../error.ts';
import {
  describeLabels,
  dropLabels,
  dropName,
  keepLabels,
  labelsKey,
  METRIC_NAME,
  type Labels,
} from '../labels.ts';
import type { Sample } from '../values.ts';

/** A comparison gives 1 or 0 here; what becomes of that is the caller's. */
export function operate(op: BinaryOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
    case '^':
      return power(a, b);
    case 'atan2':
      return Math.atan2(a, b);
    case '==':
      return Number(a === b);
    case '!=':
      return Number(a !== b);
    case '>':
      return Number(a > b);
    case '<':
      return Number(a < b);
    case '>=':
      return Number(a >= b);
    case '<=':
      return Number(a <= b);
    default:
      return Number.NaN; // set operators have no numbers
  }
}

/** As IEEE 754 and Go have it, where JavaScript has NaN: 1 to any power, and −1 to an infinite one, is 1. */
function power(a: number, b: number): number {
  if (a === 1 || (a === -1 && Math.abs(b) === Infinity)) return 1;
  return a ** b;
}

/** Each sample with a scalar on the other side. A comparison without bool filters and keeps the sample. */
export function withScalar(
  expr: Binary,
  vector: readonly Sample[],
  scalar: number,
  isScalarLeft: boolean,
): Sample[] {
  const result: Sample[] = [];
  for (const sample of vector) {
    const [a, b] = isScalarLeft ? [scalar, sample.value] : [sample.value, scalar];
    const value = operate(expr.op, a, b);
    if (!isComparison(expr.op) || expr.isBool) result.push({ labels: dropName(sample.labels), value });
    else if (value === 1) result.push(sample);
  }
  return result;
}

type Signature = (labels: Labels) => string;

function signatureOf(matching: Matching): Signature {
  const ignored = [...matching.labels, METRIC_NAME];
  return matching.isOn
    ? (labels) => labelsKey(keepLabels(labels, matching.labels))
    : (labels) => labelsKey(dropLabels(labels, ignored));
}

export function setOperation(expr: Binary, left: readonly Sample[], right: readonly Sample[]): Sample[] {
  const signature = signatureOf(expr.matching);
  const inLeft = new Set(left.map((sample) => signature(sample.labels)));
  const inRight = new Set(right.map((sample) => signature(sample.labels)));
  if (expr.op === 'and') return left.filter((sample) => inRight.has(signature(sample.labels)));
  if (expr.op === 'unless') return left.filter((sample) => !inRight.has(signature(sample.labels)));
  return [...left, ...right.filter((sample) => !inLeft.has(signature(sample.labels)))];
}

/** Arithmetic and comparison between two vectors: pairs with the same signature. */
export function matchVectors(expr: Binary, left: readonly Sample[], right: readonly Sample[]): Sample[] {
  const { matching } = expr;
  // Prometheus, too, does not look for duplicates where no pair can be.
  if (left.length === 0 || right.length === 0) return [];
  const signature = signatureOf(matching);
  const isSwapped = matching.cardinality === 'one-to-many';
  const [many, one] = isSwapped ? [right, left] : [left, right];
  const ones = indexOnes(expr, one, signature);
  const identities = new Set<string>();
  const note = (identity: string, labels: Labels): void => {
    if (identities.has(identity)) throw duplicate(expr, labels);
    identities.add(identity);
  };
  const result: Sample[] = [];
  for (const sample of many) {
    const key = signature(sample.labels);
    const partner = ones.get(key);
    if (!partner) continue;
    const isOneToOne = matching.cardinality === 'one-to-one';
    const labels = resultLabels(expr, sample.labels, partner.labels);
    // One to one: the signature may come once, whatever a comparison filters out. With a group: the result may.
    if (isOneToOne) note(key, sample.labels);
    const [a, b] = isSwapped ? [partner, sample] : [sample, partner];
    const kept = pairValue(expr, a.value, b.value);
    if (kept === undefined) continue;
    if (!isOneToOne) note(labelsKey(labels), sample.labels);
    result.push({ labels, value: kept });
  }
  return result;
}

/** undefined where a filtering comparison leaves the pair out. */
function pairValue(expr: Binary, a: number, b: number): number | undefined {
  const value = operate(expr.op, a, b);
  if (!isComparison(expr.op) || expr.isBool) return value;
  return value === 1 ? a : undefined;
}

function indexOnes(expr: Binary, one: readonly Sample[], signature: Signature): Map<string, Sample> {
  const index = new Map<string, Sample>();
  for (const sample of one) {
    const key = signature(sample.labels);
    const other = index.get(key);
    if (other) {
      const both = `${describeLabels(other.labels)} and ${describeLabels(sample.labels)}`;
      throw new PromqlError('execution', `two series for one match group: ${both}`, {
        position: expr.position,
      });
    }
    index.set(key, sample);
  }
  return index;
}

function duplicate(expr: Binary, labels: Labels): PromqlError {
  const advice =
    expr.matching.cardinality === 'one-to-one'
      ? 'many to one needs group_left or group_right'
      : 'the grouping labels must make each result unique';
  return new PromqlError('execution', `several matches for ${describeLabels(labels)}; ${advice}`, {
    position: expr.position,
  });
}

function resultLabels(expr: Binary, many: Labels, one: Labels): Labels {
  const { matching, op, isBool } = expr;
  const named = isComparison(op) && !isBool ? many : dropName(many);
  if (matching.cardinality === 'one-to-one') {
    return matching.isOn ? keepLabels(named, matching.labels) : dropLabels(named, matching.labels);
  }
  const labels = new Map(named);
  for (const label of matching.include) {
    const value = one.get(label);
    if (value === undefined) labels.delete(label);
    else labels.set(label, value);
  }
  return labels;
}
