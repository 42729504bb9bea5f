/** What platform teams set, in a few wholes: the chart is rendered and checked with each. */

export const VALUE_SETS: Readonly<Record<string, object>> = {
  defaults: {},
  production: {
    image: {
      repository: 'example/platform/slimfaas',
      tag: '0.1.0-hardened',
      pullPolicy: 'Always',
      pullSecrets: ['mirror'],
    },
    createNamespace: true,
    nats: {
      storage: { size: '100Gi', className: 'fast' },
      resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: '4Gi' } },
      nodeSelector: { disk: 'ssd' },
    },
    networkPolicies: {
      parts: true,
      operatorsFrom: [
        { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } },
      ],
    },
    metrics: { annotations: false, podMonitors: true, podMonitorLabels: { release: 'prometheus' } },
    proxy: {
      replicas: 3,
      resources: { requests: { cpu: '500m' }, limits: { memory: '1Gi' } },
      service: { type: 'LoadBalancer', annotations: { 'example.com/internal': 'true' } },
      tls: { secretName: 'functions-tls' },
      ingress: {
        hosts: ['functions.example.com', '*.functions.example.com'],
        className: 'nginx',
        annotations: { 'nginx.ingress.kubernetes.io/proxy-body-size': '0' },
        tlsSecretName: 'ingress-tls',
      },
      httpRoute: {
        hosts: ['functions.example.com', '*.a.example.com'],
        parentRefs: [{ name: 'outside', namespace: 'gateways', sectionName: 'https' }],
      },
      flags: {
        'queue-bytes': 536_870_912,
        'drain-timeout': 600.5,
        'callback-allow': ['*.example.com', '10.1.0.0/16'],
        'show-private': true,
        'async-status': 202,
      },
      tolerations: [{ key: 'edge', operator: 'Exists', effect: 'NoSchedule' }],
    },
    scaler: { replicas: 3, podDisruptionBudget: false, flags: { tick: 0.5, 'job-storage': 'file' } },
    webhook: { replicas: 3, flags: { 'log-level': 'debug', 'stop-delay-seconds': 10 } },
  },
  'some namespaces, cert-manager': {
    // Names that YAML would take for numbers.
    namespaces: ['shop', 'billing', '123', '1e3'],
    networkPolicies: { parts: true, sidecars: true },
    image: { pullSecrets: ['2024'] },
    proxy: { tls: { secretName: '2025' } },
    nats: { storage: { className: '1' } },
    webhook: { certManager: { issuer: 'internal-ca', kind: 'ClusterIssuer' } },
  },
  'API keys, and nothing else to mount': {
    auth: 'off',
    operatorAuth: 'off',
    proxy: { apiKeys: { secretName: 'callers' } },
  },
  'a page while functions start, and nothing else to mount': {
    auth: 'off',
    operatorAuth: 'off',
    proxy: { waitingPage: { configMap: 'starting' } },
  },
  'digests, and addresses of IPv6': {
    image: { repository: 'example/slimfaas', tag: '0.1.0-hardened', digest: `sha256:${'0a'.repeat(32)}` },
    nats: { digest: `sha256:${'1b'.repeat(32)}`, listen: '::' },
    proxy: { service: { ipFamilyPolicy: 'PreferDualStack' } },
  },
  'user ids of the namespace': { user: 'none' },
  'a user id of the operator': { user: 1_000_650_000 },
  'sidecars with a CPU limit, always pulled': {
    sidecar: { resources: { limits: { cpu: '500m' } } },
    image: { pullPolicy: 'Always' },
  },
  'limits that a quota asks for': {
    nats: { resources: { limits: { cpu: 1, 'ephemeral-storage': '64Mi' } } },
    ...Object.fromEntries(
      ['proxy', 'scaler', 'webhook'].map((part) => [
        part,
        { resources: { limits: { cpu: 1, 'ephemeral-storage': '64Mi' } } },
      ]),
    ),
  },
  'NATS of three': { nats: { replicas: 3 }, networkPolicies: { parts: true } },
  'NATS of three, of IPv6, which asks nobody': { auth: 'off', nats: { replicas: 3, listen: '::' } },
  'NATS of the operator': {
    nats: { url: 'nats://nats-0.nats.messaging:4222,nats://nats-1.nats.messaging:4222' },
    jobs: { replicas: 3 },
  },
  'NATS of the operator, with a signing key': {
    nats: { url: 'tls://nats.example.com:4222', signingKey: { secretName: 'nats-account' } },
  },
  'NATS of the operator, with credentials and a CA': {
    nats: {
      url: 'tls://nats-0.nats.messaging:4222,tls://nats-1.nats.messaging:4222',
      credentials: { secretName: '2025' },
      ca: { secretName: 'nats-ca' },
    },
    webhook: { certManager: { issuer: 'internal-ca' } },
  },
};

/** A wrong value, and what helm's refusal must say: which value it is, and why not. */
export const REFUSALS: readonly (readonly [values: object, message: RegExp])[] = [
  [{ replicas: 2 }, /additional properties 'replicas' not allowed/],
  [{ proxy: { replicas: 'two' } }, /'\/proxy\/replicas': got string, want integer/],
  [{ proxy: { flags: { 'queue-limti': 1 } } }, /'\/proxy\/flags': additional properties 'queue-limti'/],
  [
    { proxy: { flags: { 'async-status': 204 } } },
    /'\/proxy\/flags\/async-status': maximum: got 204, want 202/,
  ],
  [{ proxy: { flags: { port: 80 } } }, /'\/proxy\/flags': additional properties 'port' not allowed/],
  [{ scaler: { flags: { 'job-storage': 'tape' } } }, /'\/scaler\/flags\/job-storage': .*'file', 'memory'/],
  [{ proxy: { public: { routes: ['metrics'] } } }, /'\/proxy\/public\/routes\/0': .*'async-function'/],
  [
    { proxy: { public: { routes: [] }, ingress: { hosts: ['a.example.com'] } } },
    /there is nothing to publish, because proxy\.public\.routes is empty/,
  ],
  [
    { proxy: { httpRoute: { hosts: ['a.example.com'] } } },
    /proxy\.httpRoute\.parentRefs: name the Gateway that takes the hosts/,
  ],
  [{ clusterParts: 'without' }, /namespaces must name them/],
  [{ networkPolicies: { sidecars: true } }, /namespaces must name them/],
  [{ operatorAuth: 'token' }, /operatorAuth: token needs operatorToken\.secretName/],
  [{ operatorToken: { secretName: 'x' } }, /operatorToken\.secretName goes with operatorAuth: token/],
  [{ operatorAuth: 'none' }, /'\/operatorAuth': .*'kubernetes', 'token', 'off'/],
  [{ webhook: { certManager: { kind: 'Secret' } } }, /'\/webhook\/certManager\/kind': .*'ClusterIssuer'/],
  [{ image: { pullPolicy: 'Sometimes' } }, /'\/image\/pullPolicy': .*'IfNotPresent'/],
  [{ image: { digest: 'abc' } }, /'\/image\/digest': 'abc' does not match pattern/],
  [{ image: { tag: `@sha256:${'0'.repeat(64)}` } }, /'\/image\/tag': .* does not match pattern/],
  [
    { image: { repository: `r.example/a@sha256:${'0'.repeat(64)}` } },
    /image\.repository: r\.example\/a@sha256:0+ has a digest; put it into image\.digest/,
  ],
  [
    { nats: { image: `nats@sha256:${'0'.repeat(64)}`, digest: `sha256:${'0'.repeat(64)}` } },
    /nats\.image: nats@sha256:0+ has a digest already; leave nats\.digest empty/,
  ],
  [{ sidecar: { resources: { limits: { cpu: 'much' } } } }, /'\/sidecar\/resources\/limits\/cpu': .*pattern/],
  [{ user: 0 }, /'\/user': minimum: got 0, want 1/],
  [{ user: null }, /missing property 'user'/],
  [{ nats: { storage: { size: null } } }, /'\/nats\/storage': missing property 'size'/],
  [{ proxy: null }, /missing property 'proxy'|'\/proxy'/],
  [{ user: 'root' }, /'\/user': value must be 'none'/],
  [{ namespaces: ['Shop'] }, /'\/namespaces\/0': 'Shop' does not match pattern/],
  [{ nats: { url: 'nats://me:secret@nats:4222' } }, /'\/nats\/url': .* does not match pattern/],
  [{ nats: { storage: { size: '10 GB' } } }, /'\/nats\/storage\/size': '10 GB' does not match pattern/],
  [{ jobs: { replicas: 3 } }, /jobs\.replicas: 3 is for a NATS of your own \(nats\.url\); nats\.replicas: 3/],
  [{ nats: { url: 'tls://a:4222,nats://b:4222' } }, /'\/nats\/url': .* does not match pattern/],
  [
    { nats: { url: 'tls://a:4222', signingKey: { secretName: 'x' }, credentials: { secretName: 'y' } } },
    /nats\.signingKey and nats\.credentials are two ways to the same NATS; give one/,
  ],
  [
    { nats: { signingKey: { secretName: 'x' } } },
    /nats\.signingKey is for a NATS of your own; set nats\.url/,
  ],
  [{ nats: { credentials: { secretName: 'x' } } }, /nats\.credentials is for a NATS of your own/],
  [{ nats: { ca: { secretName: 'x' } } }, /nats\.ca is for a NATS of your own; set nats\.url/],
  [
    { nats: { url: 'tls://a:4222', ca: { secretName: 'x' } } },
    /nats\.ca goes with nats\.signingKey or nats\.credentials/,
  ],
  [
    { nats: { url: 'nats://a:4222', credentials: { secretName: 'x' } } },
    /nats\.credentials needs TLS, .* must begin with tls:\/\/, not nats:\/\/a:4222/,
  ],
  [
    { auth: 'off', nats: { url: 'tls://a:4222', signingKey: { secretName: 'x' } } },
    /nats\.signingKey says who pods are, and auth: off that nobody asks/,
  ],
  [{ nats: { replicas: 2 } }, /'\/nats\/replicas': value must be one of 1, 3/],
  [
    { nats: { replicas: 3, url: 'nats://nats.messaging:4222' } },
    /nats\.replicas: 3 is of the bundled NATS, and nats\.url names one of your own/,
  ],
  [
    { proxy: { resources: { limits: { memory: '1 GB' } } } },
    /'\/proxy\/resources\/limits\/memory': '1 GB' does not match/,
  ],
];
