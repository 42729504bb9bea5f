/** The proxy's flags of jobs and events. */
import type { FlagTable } from '../../common/runtime/flags.ts';

export const jobFlags = {
  'max-body': {
    type: 'int',
    default: 1024 * 1024 * 1024,
    min: 0,
    group: 'Jobs',
    describe: 'bytes that the body of an asynchronous job may have; above it 413',
  },
  'upload-bytes': {
    type: 'int',
    default: 64 * 1024 * 1024,
    min: 1024 * 1024,
    group: 'Jobs',
    describe: 'memory of bodies of jobs and events until JetStream has them; beyond it 429',
  },
  'max-event-body': {
    type: 'int',
    default: 8 * 1024 * 1024,
    min: 0,
    group: 'Events',
    describe:
      'bytes that the body of an event may have; above it 413. Every pod that gets it reads all of it',
  },
  'old-sidecars': {
    type: 'boolean',
    default: false,
    group: 'Jobs',
    describe: 'there may be sidecars of the version before: large bodies are stored as they read them',
  },
  'async-status': {
    type: 'int',
    default: 201,
    min: 201,
    max: 202,
    group: 'Jobs',
    describe: 'status of an accepted job: 201, or 202 for clients of later SlimFaas versions',
  },
  'max-job-bytes': {
    type: 'int',
    default: 0,
    min: 0,
    group: 'Jobs',
    describe:
      "bytes that the bodies of one function's unfinished jobs may have, of those that this proxy accepted; beyond it 429; 0: no such bound",
  },
  'callback-allow': {
    type: 'list',
    default: [],
    group: 'Jobs',
    describe:
      'where X-Callback-Url may have results posted: hooks.example.com, *.example.com, receiver.shop.svc:8080, 10.1.0.0/16 or *, separated by commas; empty: nowhere',
  },
  'job-ack-timeout': {
    type: 'number',
    default: 5,
    min: 0.1,
    max: 300,
    group: 'Jobs',
    describe: 'seconds that JetStream is given to confirm a job; after them 503',
  },
} as const satisfies FlagTable;
