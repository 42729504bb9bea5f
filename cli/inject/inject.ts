/**
 * `slimfaas inject`: manifests in, the same manifests out as the webhook would leave their pods. It needs no
 * cluster, and finds bad annotations before one does: `kubectl apply` shows an admission's warnings for bare pods
 * only, not for Deployments.
 *
 * Room `cli/inject`: slimfaas inject: the webhook without a cluster.
 * Comes in: manifests.
 * Goes out: manifests with sidecars.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Argv } from 'yargs';
import { checkFlag } from '../../common/runtime/flags.ts';
import { UsageError } from '../../common/runtime/errors.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { VERSION } from '../../common/runtime/version.ts';
import { SIDECAR_FLAGS, sidecarDefaultsOf, webhookFlags, type SidecarFlag } from '../../webhook/flags.ts';
import { randomToken, type InjectOptions } from '../../webhook/inject/inject.ts';
import type { SidecarDefaults } from '../../webhook/inject/sidecar-container.ts';
import { injectManifests, type Finding, type ManifestReport } from './inject-manifests.ts';

/** What the command needs of the world; tests hand in their own. */
export interface InjectIo {
  readonly stdin: NodeJS.ReadableStream;
  write(text: string): void;
  complain(text: string): void;
  exit(code: number): void;
}

export interface InjectArguments {
  readonly file: string;
  readonly check: boolean;
  readonly sidecar: SidecarDefaults;
  /** Drain tokens are derived from it; empty: they are random, and others each time. */
  readonly drainSecret: string;
}

export async function runInject(args: InjectArguments, io: InjectIo): Promise<void> {
  const source = args.file === '-' ? 'stdin' : args.file;
  const input = await readInput(args.file, io);
  const report = injectManifests(source, input, {
    ...args.sidecar,
    version: VERSION,
    createDrainToken: drainTokens(args.drainSecret),
  });
  if (!args.check) io.write(report.output);
  for (const line of complaints(report)) io.complain(line);
  if (!args.check && report.injected > 0) io.complain(`${source}: ${DRAIN_TOKEN_NOTE}\n`);
  const has = (severity: Finding['severity']) => report.findings.some((found) => found.severity === severity);
  // A fault leaves a default in force, so the manifest is still good to apply; a refusal does not.
  const isBad = has('refusal') || (args.check && has('fault'));
  if (args.check && !isBad) io.write(`${source}: ${report.functions} functions, no faults\n`);
  if (isBad) io.exit(1);
}

const DRAIN_TOKEN_NOTE =
  'note: all pods of a template have the drain token that is written into it, where the webhook gives each pod its own; who reads it can drain them';

/** The same for the same workload and secret, so that an unchanged manifest stays unchanged. */
function drainTokens(secret: string): InjectOptions['createDrainToken'] {
  if (secret === '') return randomToken;
  return (id) => createHmac('sha256', secret).update(functionKey(id)).digest('hex').slice(0, 32);
}

async function readInput(file: string, io: InjectIo): Promise<string> {
  if (file === '-') return text(io.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const isFolder = (cause as NodeJS.ErrnoException).code === 'EISDIR';
    if (isFolder)
      throw new UsageError(
        `--filename: ${file} is a folder; name a file, or pipe: cat ${file}/*.yaml | slimfaas inject -f -`,
      );
    throw new UsageError(`--filename: cannot read ${file}`, { cause });
  }
}

/** `app.yaml:12: document 2 (Deployment web): SlimFaas/ReplicasMin "many": not allowed; …` */
function complaints(report: ManifestReport): string[] {
  return report.findings.map(
    ({ line, document, subject, message }) =>
      `${report.source}:${line}: document ${document} (${subject}): ${message}\n`,
  );
}

export const injectCommand = {
  command: 'inject',
  describe: 'print manifests as the webhook would leave their pods; --check only looks for bad annotations',
  builder: (yargs: Argv) =>
    yargs
      .option('filename', {
        alias: 'f',
        type: 'string',
        requiresArg: true,
        default: '-',
        describe: 'manifest to read, YAML or JSON, any number of documents; - is stdin',
      })
      .option('check', {
        type: 'boolean',
        default: false,
        describe: 'print no manifests, only what is wrong with their annotations; exit 1 if anything is',
      })
      .option('sidecar-image', { type: 'string', requiresArg: true, describe: 'image of the sidecar' })
      .option('sidecar-nats', {
        type: 'string',
        requiresArg: true,
        describe: 'NATS servers for the sidecar',
      })
      .option('sidecar-proxy', {
        type: 'string',
        requiresArg: true,
        describe: 'URL of the proxies for the sidecar',
      })
      .option('sidecar-user', {
        type: 'string',
        requiresArg: true,
        describe: 'user id of the sidecar; none: the namespace gives one, as OpenShift does',
      })
      .option('sidecar-pull-policy', {
        type: 'string',
        requiresArg: true,
        describe: "imagePullPolicy of the sidecar; without it Kubernetes' own rule counts",
      })
      .option('sidecar-resources', {
        type: 'string',
        requiresArg: true,
        describe: 'requests and limits of every sidecar, as JSON',
      })
      .option('drain-secret', {
        type: 'string',
        requiresArg: true,
        default: '',
        describe:
          'text that the tokens of the preStop hooks are derived from, for the same output each time; without it they are random',
      }),
  handler: async (argv: Readonly<Record<string, unknown>>): Promise<void> => {
    await runInject(
      {
        file: String(argv['filename']),
        check: argv['check'] === true,
        drainSecret: String(argv['drain-secret'] ?? ''),
        sidecar: sidecarDefaultsOf(sidecarFlags(argv)),
      },
      {
        stdin: process.stdin,
        write: (output) => void process.stdout.write(output),
        complain: (output) => void process.stderr.write(output),
        exit: (code) => void (process.exitCode = code),
      },
    );
  },
};

function sidecarFlags(argv: Readonly<Record<string, unknown>>): Record<SidecarFlag, string> {
  const values = SIDECAR_FLAGS.map((name) => {
    const given = argv[name];
    const table = webhookFlags[name];
    return [name, given === undefined ? table.default : String(checkFlag(`--${name}`, table, String(given)))];
  });
  return Object.fromEntries(values) as Record<SidecarFlag, string>;
}
