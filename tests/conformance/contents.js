// @jupyterlab/services' ContentsManager, as JupyterLab's file browser uses it: new, save, upload in chunks, rename, copy, checkpoints, download.
// node contents.js URL TOKEN; modules are looked for in NODE_PATH. Prints one line a step, ends with 1 at the first that fails.
"use strict";
const assert = require("assert");
const { ContentsManager, ServerConnection } = require("@jupyterlab/services");
const [url, token] = process.argv.slice(2);

const settings = ServerConnection.makeSettings({ baseUrl: url, wsUrl: url.replace("http", "ws"), token, appendToken: true, WebSocket: require("ws") });
const step = (name) => console.log(name);

async function main() {
  const contents = new ContentsManager({ serverSettings: settings });
  const changes = [];
  contents.fileChanged.connect((_, change) => changes.push(change.type));

  const folder = await contents.newUntitled({ path: "", type: "directory" });
  const file = await contents.newUntitled({ path: folder.path, type: "file", ext: "txt" });
  const notebook = await contents.newUntitled({ path: folder.path, type: "notebook" });
  assert.deepStrictEqual([folder.name, file.name, notebook.name], ["Untitled Folder", "untitled.txt", "Untitled.ipynb"]);
  step("new");

  const saved = await contents.save(file.path, { type: "file", format: "text", content: "grüße\n" });
  assert.ok(new Date(saved.last_modified) >= new Date(file.last_modified) && saved.size === 8);
  const cell = { id: "a", cell_type: "code", source: "1\n2", metadata: {}, outputs: [], execution_count: null };
  await contents.save(notebook.path, { type: "notebook", format: "json", content: { cells: [cell], metadata: {}, nbformat: 4, nbformat_minor: 5 } });
  step("saved");

  assert.strictEqual((await contents.get(file.path)).content, "grüße\n");
  assert.strictEqual((await contents.get(notebook.path)).content.cells[0].source, "1\n2");
  assert.strictEqual((await contents.get(file.path, { format: "base64", hash: true })).hash.length, 64);
  const listed = await contents.get(folder.path);
  assert.deepStrictEqual(listed.content.map((m) => [m.name, m.type]), [["Untitled.ipynb", "notebook"], ["untitled.txt", "file"]]);
  step("got");

  const bytes = Buffer.alloc(2500000, "0123456789");
  for (let at = 0, chunk = 1; at < bytes.length; at += 1 << 20, chunk++) {
    const last = at + (1 << 20) >= bytes.length;
    await contents.save(folder.path + "/big.bin", { type: "file", format: "base64", chunk: last ? -1 : chunk, content: bytes.subarray(at, at + (1 << 20)).toString("base64") });
  }
  const download = await contents.getDownloadUrl(folder.path + "/big.bin");
  const reply = await fetch(download, { headers: { Authorization: `token ${token}` } });
  assert.ok(Buffer.from(await reply.arrayBuffer()).equals(bytes), download);
  step("uploaded and downloaded");

  const renamed = await contents.rename(file.path, folder.path + "/ä b.txt");
  assert.strictEqual(renamed.name, "ä b.txt");
  await assert.rejects(contents.rename(renamed.path, notebook.path), (e) => e.response.status === 409);
  const copied = await contents.copy(renamed.path, folder.path);
  assert.strictEqual(copied.name, "ä b-Copy1.txt");
  step("renamed and copied");

  const checkpoint = await contents.createCheckpoint(renamed.path);
  await contents.save(renamed.path, { type: "file", format: "text", content: "later" });
  assert.deepStrictEqual(await contents.listCheckpoints(renamed.path), [checkpoint]);
  await contents.restoreCheckpoint(renamed.path, checkpoint.id);
  assert.strictEqual((await contents.get(renamed.path)).content, "grüße\n");
  await contents.deleteCheckpoint(renamed.path, checkpoint.id);
  assert.deepStrictEqual(await contents.listCheckpoints(renamed.path), []);
  step("checkpoints");

  await assert.rejects(contents.delete(folder.path), (e) => e.response.status === 400);
  for (const model of (await contents.get(folder.path)).content) await contents.delete(model.path);
  await contents.delete(folder.path);
  await assert.rejects(contents.get(folder.path), (e) => e.response.status === 404);
  for (const type of ["new", "save", "rename", "delete"]) assert.ok(changes.includes(type), type);
  step("deleted");
}

const limit = setTimeout(() => {
  console.error("not done in 60 s");
  process.exit(1);
}, 60000);
limit.unref();
main().then(
  () => process.exit(0),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);
