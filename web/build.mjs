// Builds the page into the Python package: the same sources and lock give the same bytes.
import { build } from "esbuild";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const target = resolve(process.argv[2] ?? join(import.meta.dirname, "../siamese/viewing/page"));
mkdirSync(target, { recursive: true });
const common = {
  absWorkingDir: import.meta.dirname, bundle: true, minify: true, format: "iife", target: ["es2022"],
  legalComments: "none", charset: "utf8", logLevel: "warning", loader: { ".svg": "dataurl" },
};
await build({
  ...common, entryPoints: ["src/main.ts"], outfile: join(target, "app.js"),
  define: { "import.meta.url": '""' }, logOverride: { "empty-import-meta": "silent" },
});
await build({ ...common, entryPoints: ["src/learn/worker.ts"], outfile: join(target, "learn-worker.js") });
await build({
  ...common, entryPoints: ["node_modules/maplibre-gl/dist/maplibre-gl-worker.mjs"],
  outfile: join(target, "map-worker.js"), define: { "import.meta.url": '""' },
});
await build({ ...common, entryPoints: ["src/style.css"], outfile: join(target, "app.css") });
writeFileSync(join(target, "index.html"), readFileSync(join(import.meta.dirname, "src/index.html")));
writeFileSync(join(target, "LICENSES.txt"), licences());

/** Returns the licences of all that is in the bundle. */
function licences() {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, "package-lock.json"), "utf8"));
  const names = Object.keys(lock.packages).filter((path) => path && !lock.packages[path].dev).sort();
  return names.map((path) => {
    const about = JSON.parse(readFileSync(join(import.meta.dirname, path, "package.json"), "utf8"));
    let text = "";
    for (const name of ["LICENSE", "LICENSE.txt", "LICENSE.md", "license", "License"]) {
      try {
        text = readFileSync(join(import.meta.dirname, path, name), "utf8").trim();
        break;
      } catch { /* another spelling */ }
    }
    return `${about.name} ${about.version} (${about.license ?? "see below"})\n\n${text}\n`;
  }).join("\n---\n\n");
}
