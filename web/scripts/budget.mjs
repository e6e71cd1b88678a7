// What a browser loads first must stay light: everything that the first page names, and the view that it opens with.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = 300_000;
const dist = new URL('../dist/', import.meta.url);

// All of it, the views that are loaded later too: simple, and stricter than what was promised.
const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
let total = 0;
for (const { parentPath, name } of files) {
  const size = gzipSync(readFileSync(`${parentPath}/${name}`), { level: 9 }).length;
  total += size;
  if (size > 5_000) console.log(`${String(size).padStart(8)}  ${name}`);
}
console.log(`${String(total).padStart(8)}  all, gzip; ${BUDGET} at most`);
if (total > BUDGET) process.exit(1);
