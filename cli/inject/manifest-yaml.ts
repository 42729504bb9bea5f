/**
 * Reading places in and writing changes into a YAML document, by path. The one place that knows how the
 * library's tree looks.
 */
import { isNode, isSeq, type Document, type LineCounter } from 'yaml';
import { NO_TOKEN_VOLUME } from '../../webhook/inject/no-token.ts';
import type { V1Pod } from '../../common/kube/client.ts';
import { findSidecar, userContainers } from '../../common/kube/model/containers.ts';
import { FUNCTION_LABEL, INJECT_STATUS_ANNOTATION, SIDECAR_CONTAINER } from '../../common/function/names.ts';

export type Path = readonly (string | number)[];

/** The line of the node at `path`, or of the nearest one above it that is there; 1-based. */
export function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length >= 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    const range = isNode(node) ? node.range : undefined;
    if (range) return lines.linePos(range[0]).line;
  }
  return lines.linePos(document.range?.[0] ?? 0).line;
}

/**
 * What `injectPod` added, and nothing else, so that every other byte keeps its place and its comment. Where an
 * alias stands in the way (one template used twice, say) the pod is written out as a whole.
 */
export function writeInjected(document: Document, podPath: Path, pod: V1Pod): void {
  try {
    writeAdditions(document, podPath, pod);
  } catch {
    const whole = document.toJS();
    document.contents = document.createNode(whole) as typeof document.contents;
    if (podPath.length === 0) document.contents = document.createNode(pod) as typeof document.contents;
    else document.setIn(podPath, document.createNode(pod, { aliasDuplicateObjects: false }));
  }
}

function writeAdditions(document: Document, podPath: Path, pod: V1Pod): void {
  const set = (path: Path, value: unknown) =>
    document.setIn([...podPath, ...path], document.createNode(value, { aliasDuplicateObjects: false }));
  for (const [index, container] of userContainers(pod.spec).entries())
    if (document.getIn([...podPath, 'spec', 'containers', index, 'lifecycle', 'preStop']) === undefined)
      set(['spec', 'containers', index, 'lifecycle', 'preStop'], container.lifecycle?.preStop);
  writeSidecar(document, podPath, pod);
  writeVolume(document, podPath, pod);
  set(['metadata', 'labels', FUNCTION_LABEL], pod.metadata?.labels?.[FUNCTION_LABEL]);
  const status = pod.metadata?.annotations?.[INJECT_STATUS_ANNOTATION];
  set(['metadata', 'annotations', INJECT_STATUS_ANNOTATION], status);
}

function writeVolume(document: Document, podPath: Path, pod: V1Pod): void {
  const volume = pod.spec?.volumes?.find(({ name }) => name === NO_TOKEN_VOLUME);
  if (!volume) return;
  const path = [...podPath, 'spec', 'volumes'];
  const list = document.getIn(path, true);
  if (isSeq(list)) list.items.push(document.createNode(volume));
  else document.setIn(path, document.createNode([volume]));
}

/** First of the init containers or last of the others, as `injectPod` has decided. */
function writeSidecar(document: Document, podPath: Path, pod: V1Pod): void {
  const sidecar = document.createNode(findSidecar(pod.spec), { aliasDuplicateObjects: false });
  const isNative = pod.spec?.initContainers?.some(({ name }) => name === SIDECAR_CONTAINER) === true;
  const path = [...podPath, 'spec', isNative ? 'initContainers' : 'containers'];
  const list = document.getIn(path, true);
  if (!isSeq(list)) document.setIn(path, document.createNode([sidecar]));
  else if (isNative) list.items.unshift(sidecar);
  else list.items.push(sidecar);
}
