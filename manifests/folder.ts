/**
 * Where install.yaml and the demo are: beside this file in the sources, and beside the bundle in dist/, where the
 * demo's server is JavaScript, because Node runs no TypeScript inside node_modules.
 */
import { fileURLToPath } from 'node:url';

export const MANIFESTS = fileURLToPath(new URL('.', import.meta.url));

export const DEMO_SERVER = `${MANIFESTS}demo/server.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`;
