/** Collecting what is wrong with an object, in the words of Kubernetes' field errors. */
import type { FieldCause } from './api-errors.ts';

/** Strings quoted, objects as JSON, as Kubernetes prints the offending value. */
function print(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}

export class Causes {
  readonly list: FieldCause[] = [];

  required(field: string, why = ''): void {
    this.#add(field, 'FieldValueRequired', why === '' ? 'Required value' : `Required value: ${why}`);
  }

  invalid(field: string, value: unknown, why: string): void {
    this.#add(field, 'FieldValueInvalid', `Invalid value: ${print(value)}: ${why}`);
  }

  duplicate(field: string, value: unknown): void {
    this.#add(field, 'FieldValueDuplicate', `Duplicate value: ${print(value)}`);
  }

  missing(field: string, value: unknown): void {
    this.#add(field, 'FieldValueNotFound', `Not found: ${print(value)}`);
  }

  forbidden(field: string, why: string): void {
    this.#add(field, 'FieldValueForbidden', `Forbidden: ${why}`);
  }

  /** True when the value is absent or one of `allowed`. */
  oneOf(field: string, value: unknown, allowed: readonly string[]): boolean {
    if (value === undefined || allowed.includes(value as string)) return true;
    const list = allowed.map(print).join(', ');
    this.#add(
      field,
      'FieldValueNotSupported',
      `Unsupported value: ${print(value)}: supported values: ${list}`,
    );
    return false;
  }

  /** An absent value is in range. */
  range(field: string, value: unknown, [min, max]: readonly [number, number]): void {
    if (value === undefined) return;
    const isWhole = Number.isInteger(value);
    if (isWhole && (value as number) >= min && (value as number) <= max) return;
    const bounds =
      max === Infinity
        ? `must be greater than or equal to ${min}`
        : `must be between ${min} and ${max}, inclusive`;
    this.invalid(field, value, isWhole ? bounds : `must be an integer; ${bounds}`);
  }

  #add(field: string, reason: string, message: string): void {
    this.list.push({ field, reason, message });
  }
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';

interface NameRule {
  readonly pattern: RegExp;
  readonly maxLength: number;
  readonly why: string;
}

export const DNS_LABEL: NameRule = {
  pattern: new RegExp(`^${LABEL}$`),
  maxLength: 63,
  why: `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${LABEL}')`,
};

export const DNS_1035_LABEL: NameRule = {
  pattern: /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
  maxLength: 63,
  why: "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
};

export const DNS_SUBDOMAIN: NameRule = {
  pattern: new RegExp(`^${LABEL}(\\.${LABEL})*$`),
  maxLength: 253,
  why: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${LABEL}(\\.${LABEL})*')`,
};

/** Role names may hold colons; what cannot be part of a URL's path is refused. */
export const PATH_SEGMENT: NameRule = {
  pattern: /^(?!\.\.?$)[^/%]+$/,
  maxLength: 253,
  why: "may not be '.' or '..' and may not contain '/' or '%'",
};

export function checkName(causes: Causes, field: string, value: unknown, rule: NameRule): void {
  const text = String(value);
  if (text.length > rule.maxLength) {
    causes.invalid(field, value, `must be no more than ${rule.maxLength} characters`);
  } else if (!rule.pattern.test(text)) causes.invalid(field, value, rule.why);
}
