/** `npm run manifests`: writes what is rendered. values.schema.json first, because helm reads it for install.yaml. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderInstallYaml } from './install-yaml.ts';
import { valuesSchemaText } from './values-schema.ts';

await writeFile(join(import.meta.dirname, 'chart/values.schema.json'), valuesSchemaText());
await writeFile(join(import.meta.dirname, 'install.yaml'), await renderInstallYaml());
