/**
 * Where install.yaml and the demo are. In the sources they are beside this file, in a bundle beside dist/. There the
 * demo's server is JavaScript, because Node runs no TypeScript inside node_modules.
 */
import { fileURLToPath } from 'node:url';

export const MANIFESTS = fileURLToPath(new URL('.', import.meta.url));

export const DEMO_SERVER = `${MANIFESTS}demo/server.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`;
