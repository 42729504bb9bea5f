/**
 * Node's http module without what an `import` of it drags in: for an ES module Node reads every export of
 * node:http once, and three of them (WebSocket, MessageEvent, CloseEvent) are getters that load all of undici:
 * 35 ms of CPU and 13 MB, measured, of a process that may have 100 ms and 60 MB. For what a cold start loads.
 */
export const http: typeof import('node:http') = process.getBuiltinModule('node:http');
