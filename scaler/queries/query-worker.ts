/** The entry of the thread in which queries run. Started by query-host.ts, from the source or from the bundle. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import type { QueryThreadData, ToQueryThread } from './query-messages.ts';
import { QueryThread } from './query-thread.ts';

const port = parentPort as MessagePort;
const thread = new QueryThread(workerData as QueryThreadData, (message) => port.postMessage(message));
port.on('message', (message: ToQueryThread) => thread.on(message));
