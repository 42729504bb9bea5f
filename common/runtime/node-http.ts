/**
 * Node's http module without the costs of an `import` of it. For an ES module Node reads every export of node:http
 * once. Three of them (WebSocket, MessageEvent, CloseEvent) are getters that load all of undici. That was measured as
 * 35 ms of CPU and 13 MB, of a process that may have 100 ms and 60 MB. For what a cold start loads.
 */
export const http: typeof import('node:http') = process.getBuiltinModule('node:http');
