/**
 * Debian's nginx as a reverse proxy: one process, upstream keep-alive, streaming (no temporary files), so that
 * it does what the others do. Installed with apt where we may; otherwise left out.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOrInstall } from './apt.ts';
import { startSubject, type Subject } from './subject.ts';

/** @returns the path of nginx, or undefined when it is not there and cannot be installed */
export function findNginx(say: (line: string) => void): string | undefined {
  return findOrInstall('nginx-light', locate, say);
}

function locate(): string | undefined {
  return ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path));
}

export async function startNginx(path: string, port: number, upstream: number): Promise<Subject> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'));
  writeFileSync(join(folder, 'nginx.conf'), config(port, upstream));
  const subject = await startSubject('nginx', port, {
    command: path,
    args: ['-p', folder, '-c', 'nginx.conf', '-e', 'error.log'],
  });
  return {
    ...subject,
    async stop() {
      await subject.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function config(port: number, upstream: number): string {
  return `
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream origin {
    server 127.0.0.1:${upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_max_temp_file_size 0;
      proxy_request_buffering off;
    }
  }
}
`;
}
