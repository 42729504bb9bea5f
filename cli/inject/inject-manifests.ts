/**
 * Changes manifests as the webhook would, without a cluster. A document without an annotated pod stays exactly as
 * it is. In the others only what is needed is changed, so comments and the order of keys stay. Pure.
 */
import { LineCounter, parseAllDocuments, type Document } from 'yaml';
import { parseAnnotations, type ParsedAnnotations } from '../../common/function/annotations/index.ts';
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import { injectPod, type InjectOptions } from '../../webhook/inject/inject.ts';
import { matchPod } from '../../webhook/inject/match.ts';
import { faultTexts } from '../../webhook/review.ts';
import { findWorkloads, type ManifestWorkload } from './manifest-workloads.ts';
import { lineOf, writeInjected, type Path } from './manifest-yaml.ts';

export interface Finding {
  readonly severity: 'fault' | 'refusal' | 'warning';
  /** 1-based, of the annotation where it is known, else of the workload. */
  readonly line: number;
  /** 1-based. */
  readonly document: number;
  /** `Deployment default/web`. */
  readonly subject: string;
  readonly message: string;
}

export interface ManifestReport {
  readonly source: string;
  readonly output: string;
  readonly findings: readonly Finding[];
  /** Annotated workloads found. */
  readonly functions: number;
  /** Those whose template has been given a sidecar. */
  readonly injected: number;
}

/** @throws UsageError naming source, line and column of what is not YAML */
export function injectManifests(source: string, input: string, options: InjectOptions): ManifestReport {
  const lines = new LineCounter();
  const documents = parse(source, input, lines);
  if (documents.length === 0) return { source, output: input, findings: [], functions: 0, injected: 0 };
  const findings: Finding[] = [];
  let functions = 0;
  let injected = 0;
  const texts = documents.map((document, index) => {
    let isChanged = false;
    for (const workload of findWorkloads(plain(source, document))) {
      const result = injectWorkload(workload, options);
      const subject = `${workload.kind} ${workload.namespace}/${workload.name}`;
      findings.push(
        ...result.remarks.map(({ severity, message, path }) => {
          const line = lineOf(document, lines, path ?? workload.path);
          return { severity, message, line, document: index + 1, subject };
        }),
      );
      if (result.isFunction) functions++;
      if (result.pod) writeInjected(document, workload.podPath, result.pod);
      if (result.pod) injected++;
      isChanged ||= result.pod !== undefined;
    }
    return isChanged ? document.toString({ lineWidth: 0 }) : original(input, documents, index);
  });
  return { source, output: joined(texts), findings, functions, injected };
}

function parse(source: string, input: string, lines: LineCounter): Document[] {
  const documents = parseAllDocuments(input, { lineCounter: lines, merge: true });
  for (const { errors } of documents as Document[]) {
    const [error] = errors;
    if (!error) continue;
    const { line, col } = error.linePos?.[0] ?? { line: 1, col: 1 };
    // The library adds the place and a picture of it; the first line says what is wrong.
    const what = error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '');
    throw new UsageError(`${source}:${line}:${col}: not valid YAML: ${what}`, { cause: error });
  }
  return documents as Document[];
}

/** An alias without its anchor, or one that unfolds into thousands, shows only here. */
function plain(source: string, document: Document): unknown {
  try {
    return document.toJS();
  } catch (cause) {
    throw new UsageError(`${source}: not valid YAML: ${describeError(cause)}`, { cause });
  }
}

interface Remark {
  readonly severity: Finding['severity'];
  readonly message: string;
  readonly path?: Path;
}

interface WorkloadResult {
  readonly remarks: readonly Remark[];
  readonly isFunction: boolean;
  /** As the webhook would leave it; undefined where it would change nothing. */
  readonly pod?: ReturnType<typeof injectPod>['pod'];
}

function injectWorkload(workload: ManifestWorkload, options: InjectOptions): WorkloadResult {
  const shape = workload.problems.map(({ message, path }): Remark => ({ severity: 'fault', message, path }));
  const parsed = parseAnnotations(workload.pod.metadata?.annotations ?? {}, options.annotations);
  const remarks = [...shape, ...(parsed.isFunction ? faultRemarks(workload, parsed) : [])];
  const done = { remarks, isFunction: parsed.isFunction };
  if (!workload.isInjectable) return done;
  const verdict = matchPod(workload.pod, parsed);
  if (verdict.kind === 'refuse')
    return { ...done, remarks: [...remarks, { severity: 'refusal', message: verdict.message }] };
  if (verdict.kind === 'skip')
    return verdict.warning
      ? { ...done, remarks: [...remarks, { severity: 'warning', message: verdict.warning }] }
      : done;
  const { pod, warnings, faults } = injectPod(workload.pod, ownerOf(workload), parsed, options);
  const warned = warnings.map((message): Remark => ({ severity: 'warning', message }));
  const broken = faults.map((message): Remark => ({ severity: 'fault', message }));
  return { remarks: [...remarks, ...broken, ...warned], isFunction: true, pod };
}

function faultRemarks(workload: ManifestWorkload, parsed: ParsedAnnotations): Remark[] {
  const texts = faultTexts(parsed);
  return parsed.faults.map(({ annotation }, index) => ({
    severity: 'fault',
    message: texts[index] ?? '',
    path: [...workload.podPath, 'metadata', 'annotations', annotation],
  }));
}

function ownerOf({ kind, namespace, name }: ManifestWorkload): PodOwner {
  const id = { namespace, name };
  return kind === 'Deployment' || kind === 'StatefulSet' ? { kind, id } : { kind: 'Other', id };
}

/** What stands between two documents (marker, comments) goes with the second. */
function original(input: string, documents: readonly Document[], index: number): string {
  const start = index === 0 ? 0 : documents[index - 1]?.range?.[2];
  return input.slice(start, documents[index]?.range?.[2]);
}

/** Each document after the first begins with its marker, wherever its text came from. */
function joined(texts: readonly string[]): string {
  const [first = '', ...rest] = texts.map((text) =>
    text === '' || text.endsWith('\n') ? text : `${text}\n`,
  );
  return first + rest.map((text) => (/^---/m.test(text) ? text : `---\n${text}`)).join('');
}
