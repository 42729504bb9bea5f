/** Stands for the queries' thread: says that it is there, and does what its rules' first query says. */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import type {
  FromQueryThread,
  QueryThreadData,
  ToQueryThread,
} from '../../../scaler/queries/query-messages.ts';

const port = parentPort as MessagePort;
const { atWork } = workerData as QueryThreadData;
const say = (message: FromQueryThread): void => port.postMessage(message);
const stats = {
  series: 0,
  samples: 0,
  dropped: 0,
  refused: new Map<string, number>(),
  sources: { polls: 0, pollsInLine: 0, namesInLine: 0 },
};

say({ kind: 'alive', answers: [], stats });
port.on('message', (message: ToQueryThread) => {
  if (message.kind === 'tick') say({ kind: 'alive', answers: [], stats });
  if (message.kind !== 'rules') return;
  for (const { id, queries } of message.set) {
    Atomics.store(new Int32Array(atWork), 0, id);
    if (queries[0] === 'hang') for (;;);
    if (queries[0] === 'exit') process.exit(3);
    if (queries[0] === 'throw') throw new Error('no');
    if (queries[0] === 'eat') {
      const all: unknown[] = [];
      for (;;) all.push(Array.from({ length: 100_000 }, (_, i) => `${i} ${all.length}`));
    }
    Atomics.store(new Int32Array(atWork), 0, 0);
  }
});
