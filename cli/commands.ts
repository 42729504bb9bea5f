/**
 * The command line for people: help, groups, and a clear refusal (exit 2) of what is not known. One file a
 * command; each is loaded only when it is called, because the parts' libraries are heavy.
 */
import yargs, { type Argv } from 'yargs';
import { UsageError } from '../common/runtime/errors.ts';
import { VERSION } from '../common/runtime/version.ts';
import { proxyFlags } from '../proxy/flags.ts';
import { scalerFlags } from '../scaler/flags.ts';
import { sidecarFlags } from '../common/function/sidecar-flags.ts';
import { webhookFlags } from '../webhook/flags.ts';
import { natsReloadFlags } from './parts/nats-reload.ts';
import { natsStreamsFlags } from './parts/nats-streams.ts';
import { part } from './parts/part-command.ts';
import {
  adminUrlFlags,
  canaryFlags,
  callFlags,
  checkFlags,
  deadListFlags,
  functionFlags,
  jobShowFlags,
  promoteFlags,
  queryCommandFlags,
  releaseFlags,
  statusFlags,
} from './people-flags.ts';

/** Adds commands that not every build has. */
export type AddCommands = (parser: Argv) => void;

/** @throws UsageError for anything that is not a valid command line */
export async function runCommand(args: readonly string[], addMore?: AddCommands): Promise<void> {
  const parser = yargs(args)
    .scriptName('slimfaas')
    .usage('$0 <command> [flags]\n\nScale-to-zero functions for Kubernetes, by annotations.')
    .parserConfiguration({ 'boolean-negation': false, 'camel-case-expansion': false, 'parse-numbers': false })
    // Unknown commands are yargs' to refuse. Unknown flags are ours, because the refusal is to name what there is.
    .strictCommands()
    .demandCommand(1, 'name a command')
    .version(VERSION)
    .alias('help', 'h')
    .wrap(110)
    .exitProcess(false)
    .fail((message, error) => {
      // yargs wraps what a flag's check threw; the text is ours either way.
      if (error && error.name !== 'YError') throw error;
      throw new UsageError(error ? error.message : `${message}; see slimfaas --help`);
    });
  addParts(parser);
  addMore?.(parser);
  await addPeopleCommands(parser);
  await parser.parseAsync();
}

function addParts(parser: Argv): void {
  part(parser, 'proxy', 'the front proxy', proxyFlags, async (argv) =>
    (await import('./parts/proxy.ts')).runProxy(argv),
  );
  part(parser, 'scaler', 'the scaler', scalerFlags, async (argv) =>
    (await import('./parts/scaler.ts')).runScaler(argv),
  );
  part(parser, 'webhook', 'the admission webhook', webhookFlags, async (argv) =>
    (await import('./parts/webhook.ts')).runWebhook(argv),
  );
  part(parser, 'nats-streams', 'what runs in the pod of NATS before it', natsStreamsFlags, async (argv) =>
    (await import('./parts/nats-streams.ts')).runNatsStreams(argv),
  );
  part(parser, 'nats-reload', 'what runs beside NATS in its pod', natsReloadFlags, async (argv) =>
    (await import('./parts/nats-reload.ts')).runNatsReload(argv),
  );
  part(
    parser,
    'nats-accounts',
    'print what a NATS of your own is told: accounts, users, rights',
    {},
    async () => (await import('./parts/nats-accounts.ts')).printNatsAccounts(),
  );
  // Real runs never come here (run.ts dispatches the sidecar before yargs): this is its --help.
  part(parser, 'sidecar', 'what the webhook injects', sidecarFlags, () => {
    throw new UsageError('the sidecar is started without yargs');
  });
}

async function addPeopleCommands(parser: Argv): Promise<void> {
  part(parser, 'status [function]', 'functions and their replicas', statusFlags, async (argv) =>
    (await import('./client/status.ts')).runStatus(argv),
  );
  part(parser, 'query <promql>', 'evaluate PromQL as the scaler sees it', queryCommandFlags, async (argv) =>
    (await import('./client/query.ts')).queryCommand(argv),
  );
  part(parser, 'check', 'ask every part of an installation whether it works', checkFlags, async (argv) =>
    (await import('./inject/check.ts')).runCheck(argv),
  );
  part(parser, 'wake <function>', 'wake a function', functionFlags, async (argv) =>
    (await import('./client/call.ts')).runWake(argv),
  );
  const released = 'before an uninstall: wake all functions, and lead their Services to their pods alone';
  part(parser, 'release', released, releaseFlags, async (argv) =>
    (await import('./release/release.ts')).runRelease(argv),
  );
  part(parser, 'call <function> [path]', 'call a function and print its answer', callFlags, async (argv) =>
    (await import('./client/call.ts')).runCall(argv),
  );
  parser.command('canary', 'canaries: look, and put one in the place of its function', addCanaryCommands);
  parser.command('jobs', 'asynchronous jobs: look, cancel, and those that were given up', addJobCommands);
  const { injectCommand } = await import('./inject/inject.ts');
  parser.command(injectCommand);
}

function addCanaryCommands(parser: Argv): Argv {
  part(parser, '$0', 'list them, beside their functions', canaryFlags, async (argv) =>
    (await import('./client/canary.ts')).runCanaries(argv),
  );
  part(parser, 'promote <function>', "give the function its canary's pods", promoteFlags, async (argv) =>
    (await import('./client/promote.ts')).runPromote(argv),
  );
  return parser;
}

function addJobCommands(parser: Argv): Argv {
  part(parser, 'show <function> <id>', "a job's state, tries and result", jobShowFlags, async (argv) =>
    (await import('./client/jobs.ts')).showJob(argv),
  );
  part(parser, 'cancel <function> <id>', 'cancel a job that does not run', functionFlags, async (argv) =>
    (await import('./client/jobs.ts')).cancelJob(argv),
  );
  parser.command('dead', 'jobs that were given up', (sub: Argv) => {
    part(sub, 'list [function]', 'list them, oldest first', deadListFlags, async (argv) =>
      (await import('./client/dead-jobs.ts')).listDead(argv),
    );
    part(sub, 'show <seq>', 'the request and its tries', adminUrlFlags, async (argv) =>
      (await import('./client/dead-jobs.ts')).showDead(argv),
    );
    part(sub, 'replay <seq>', 'put it back as a new job', adminUrlFlags, async (argv) =>
      (await import('./client/dead-jobs.ts')).replayDead(argv),
    );
    part(sub, 'drop <seq>', 'remove it for good', adminUrlFlags, async (argv) =>
      (await import('./client/dead-jobs.ts')).dropDead(argv),
    );
    return sub.demandCommand(1, 'name a command: list, show, replay or drop');
  });
  return parser.demandCommand(1, 'name a command: show, cancel or dead');
}
