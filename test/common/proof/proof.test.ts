import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNkey } from '../../../common/identity/nkey.ts';
import { makeProof, PROOF_AGE_MS, ProofChecker, proofKeyId } from '../../../common/proof/proof.ts';

const NOW = Date.UTC(2026, 10, 28);
const POD = 'shop/fib-1';
const key = createNkey('user');
const other = createNkey('user');

function checker(options: { pod?: string; now?: () => number; keys?: string[] } = {}): ProofChecker {
  const { pod = POD, now = () => NOW, keys = [key.publicKey] } = options;
  return new ProofChecker({ publicKeys: keys, pod, now });
}

describe('the proof of a proxy', () => {
  it('is believed by the pod that it names, again and again', () => {
    const check = checker();
    const proof = makeProof(key, POD, NOW);
    assert.deepEqual([check.whyNot(proof), check.whyNot(proof)], [undefined, undefined]);
    assert.match(proof, /^[\w.-]{90,130}$/, 'fits a header');
  });

  it('is worth nothing at another pod, of the same name in another namespace too', () => {
    const proof = makeProof(key, POD, NOW);
    for (const pod of ['shop/fib-2', 'bank/fib-1', 'shop/fib-1\n1'])
      assert.match(checker({ pod }).whyNot(proof) ?? '', /not for this pod/);
  });

  it('ends, and a clock that is wrong is named', () => {
    let now = NOW;
    const check = checker({ now: () => now });
    const proof = makeProof(key, POD, NOW);
    for (const off of [PROOF_AGE_MS, -PROOF_AGE_MS]) {
      now = NOW + off;
      assert.equal(checker({ now: () => now }).whyNot(proof), undefined, 'just in time');
      now += Math.sign(off) * 1_000;
      assert.match(checker({ now: () => now }).whyNot(proof) ?? '', /differ by 301 s; allowed: 300 s/);
    }
    now = NOW;
    assert.equal(check.whyNot(proof), undefined);
    now = NOW + PROOF_AGE_MS + 1_000;
    assert.match(check.whyNot(proof) ?? '', /differ/, 'also one that was believed');
  });

  it('of another key names both keys', () => {
    const why = checker().whyNot(makeProof(other, POD, NOW)) ?? '';
    assert.ok(why.includes(proofKeyId(other.publicKey)) && why.includes(proofKeyId(key.publicKey)), why);
  });

  it('whose signature or time was changed is none', () => {
    const proof = makeProof(key, POD, NOW);
    const [id, seconds, signature] = proof.split('.') as [string, string, string];
    const flipped = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1);
    const borrowed = `${id}.${seconds}.${makeProof(other, POD, NOW).split('.')[2]}`;
    for (const bad of [`${id}.${Number(seconds) + 1}.${signature}`, `${id}.${seconds}.${flipped}`, borrowed])
      assert.match(checker().whyNot(bad) ?? '', /not for this pod/);
    for (const bad of ['', 'x', `${id}.${seconds}`, `${proof}.`, ` ${proof}`, `${proof}, ${proof}`, '..'])
      assert.match(checker().whyNot(bad) ?? '', /another form/);
  });

  it('of an old key and of a new one are both believed where both keys are known', () => {
    const check = checker({ keys: [key.publicKey, other.publicKey] });
    for (const each of [key, other]) assert.equal(check.whyNot(makeProof(each, POD, NOW)), undefined);
  });

  it('what is remembered is bounded, and forgetting costs only a check', () => {
    const check = checker();
    const proofs = Array.from({ length: 200 }, (_, i) => makeProof(key, POD, NOW - i * 1_000));
    for (const proof of [...proofs, ...proofs]) assert.equal(check.whyNot(proof), undefined);
  });

  it('a text that is no public key is refused when it is given', () => {
    for (const bad of ['', 'U', key.seed, createNkey('account').publicKey])
      assert.throws(() => checker({ keys: [bad] }), /not a public key/);
  });
});
