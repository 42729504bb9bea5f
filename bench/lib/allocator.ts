/** The allocator of the image (manifests/Dockerfile), so that a bench measures the sidecar as it runs there. */
import { existsSync, readFileSync } from 'node:fs';
import { findOrInstall } from './apt.ts';

const DOCKERFILE = new URL('../../manifests/Dockerfile', import.meta.url);
/** Where Debian puts it, by Node's name of the processor. */
const FOLDERS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** The image's variables with this machine's library; nothing where the library is not to be had. */
export function imageAllocator(say: (line: string) => void): Record<string, string> {
  const path = `/usr/lib/${FOLDERS[process.arch]}/libjemalloc.so.2`;
  const library = findOrInstall('libjemalloc2', () => (existsSync(path) ? path : undefined), say);
  if (library === undefined) return {};
  const [, settings] = /MALLOC_CONF=(\S+)/.exec(readFileSync(DOCKERFILE, 'utf8')) ?? [];
  if (settings === undefined) throw new Error('manifests/Dockerfile sets no MALLOC_CONF');
  return { LD_PRELOAD: library, MALLOC_CONF: settings };
}
