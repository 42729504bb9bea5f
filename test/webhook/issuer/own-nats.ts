/** A NATS server that is not ours: with a CA and accounts of somebody else, and a folder as the kubelet mounts a Secret. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ACCOUNTS } from '../../../common/bus/permissions.ts';
import { natsConfig } from '../../../common/identity/nats-config.ts';
import { accountJwt, operatorJwt } from '../../../common/identity/nats-jwt.ts';
import { createNkey } from '../../../common/identity/nkey.ts';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import type { AtEnd } from '../../helpers/local-api.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';

export interface OwnNats {
  /** With the CA as `ca.crt`, for --nats-ca-file. */
  readonly caFile: string;
  /** @param config whom it lets in; TLS is in it already */
  start(config: string): Promise<TestNats>;
  /** Lets in others from now on, as a reload does: who is none of them is cut off. */
  change(nats: TestNats, config: string): Promise<void>;
}

export async function ownNats(atEnd: AtEnd): Promise<OwnNats> {
  const dir = await folder(atEnd);
  const validity = { nowMs: Date.now(), validMs: 3_600_000 };
  const authority = await createAuthority(validity);
  const { certificate, key } = await issueCertificate(authority, ['localhost'], validity);
  const caFile = join(dir, 'ca.crt');
  await writeFile(caFile, authority.certificate);
  await writeFile(join(dir, 'tls.crt'), certificate);
  await writeFile(join(dir, 'tls.key'), key);
  const tls = `tls { cert_file: "${join(dir, 'tls.crt')}", key_file: "${join(dir, 'tls.key')}" }`;
  return {
    caFile,
    async start(config) {
      await writeFile(join(dir, 'who.conf'), config);
      // An include is looked for from the folder of the file that says it; both are in folders of the same one.
      const include = `include "${join('..', dir.slice(tmpdir().length), 'who.conf')}"`;
      const nats = await startNats({ host: '127.0.0.1', config: `${tls}\n${include}` });
      atEnd(() => nats.stop());
      return nats;
    },
    async change({ pid }, config) {
      await writeFile(join(dir, 'who.conf'), config);
      process.kill(pid as number, 'SIGHUP');
    },
  };
}

/** A folder with these files, which `write` replaces. */
export async function secretFolder(atEnd: AtEnd, files: Readonly<Record<string, string>>) {
  const dir = await folder(atEnd);
  const write = async (next: Readonly<Record<string, string>>): Promise<void> => {
    for (const [name, text] of Object.entries(next)) await writeFile(join(dir, name), `${text}\n`);
  };
  await write(files);
  return { dir, write };
}

async function folder(atEnd: AtEnd): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-own-nats-'));
  atEnd(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** The configuration of somebody's operator mode, and what the Secret has for it. */
export function signingAccounts({ isTwo }: { readonly isTwo: boolean }) {
  const operator = createNkey('operator');
  const system = createNkey('account');
  const [core, functions] = [createNkey('account'), createNkey('account')];
  const [signer, functionsSigner] = [createNkey('account'), createNkey('account')];
  const nowMs = Date.now();
  const rules = isTwo ? ACCOUNTS : { core: {}, functions: {} };
  const jwtOf = (account: typeof core, signingKeys: string[], hasJetStream: boolean, more: object) =>
    accountJwt(operator, {
      account: account.publicKey,
      name: 'somebody',
      signingKeys,
      hasJetStream,
      nowMs,
      ...more,
    });
  const crossing = (own: object, other: string) => {
    const { imports = [] } = own as { imports?: [] };
    return isTwo ? { ...own, imports: { from: other, rules: imports } } : {};
  };
  const config = natsConfig({
    operatorJwt: operatorJwt(operator, { name: 'somebody', systemAccount: system.publicKey, nowMs }),
    systemAccount: system.publicKey,
    accounts: {
      [core.publicKey]: jwtOf(core, [signer.publicKey], true, crossing(rules.core, functions.publicKey)),
      [functions.publicKey]: jwtOf(
        functions,
        [functionsSigner.publicKey],
        false,
        crossing(rules.functions, core.publicKey),
      ),
      [system.publicKey]: jwtOf(system, [], false, {}),
    },
  });
  const one = { account: core.publicKey, 'signer.nk': signer.seed };
  const files: Record<string, string> = isTwo
    ? { ...one, 'functions-account': functions.publicKey, 'functions-signer.nk': functionsSigner.seed }
    : one;
  return { config, files, accountSeed: core.seed };
}
