/** Placeholder signature while the parser is being written. */
import type { AnnotationFault, FunctionSpec } from './function-spec.ts';

export interface ParsedAnnotations {
  /** SlimFaas/Function is "true". */
  readonly isFunction: boolean;
  readonly spec: FunctionSpec;
  readonly faults: readonly AnnotationFault[];
}

export declare function parseAnnotations(annotations: Readonly<Record<string, string>>): ParsedAnnotations;
