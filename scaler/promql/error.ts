/** The one error of this folder: what is wrong with a query, and where in its text. */
export type PromqlErrorCode =
  /** The text is no PromQL. */
  | 'syntax'
  /** PromQL that Prometheus knows and this evaluator does not. */
  | 'unsupported'
  /** A value of the wrong type, such as a range where an instant vector is needed. */
  | 'type'
  /** Right in itself but not on this data, such as two series for one match group. */
  | 'execution'
  /** More samples or steps than one evaluation may touch. */
  | 'too-expensive'
  /** A Prometheus server that answers with an error, or not at all. */
  | 'remote';

export class PromqlError extends Error {
  readonly code: PromqlErrorCode;
  /** Characters from the start of the query; undefined where there is no such place. */
  readonly position: number | undefined;

  constructor(code: PromqlErrorCode, message: string, options: { position?: number; cause?: unknown } = {}) {
    const at = options.position === undefined ? '' : ` at position ${options.position + 1}`;
    super(`${message}${at}`, { cause: options.cause });
    this.name = 'PromqlError';
    this.code = code;
    this.position = options.position;
  }
}
