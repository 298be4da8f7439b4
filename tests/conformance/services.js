// @jupyterlab/services, the library that JupyterLab talks to servers with: start, execute, interrupt, restart, execute, shut down.
// node services.js URL TOKEN [gateway]: there is a Jupyter Server in between, which takes neither binary frames nor long ones; modules are looked for in NODE_PATH. Prints one line a step, ends with 1 at the first that fails.
"use strict";
const assert = require("assert");
const { KernelSpecManager, SessionManager, KernelManager, ServerConnection } = require("@jupyterlab/services");
const [url, token, before] = process.argv.slice(2);

const settings = ServerConnection.makeSettings({
  baseUrl: url,
  wsUrl: url.replace("http", "ws"),
  token,
  appendToken: true,
  WebSocket: require("ws"),
});

// Says in JSON what bytes came, and sends them back in a buffer, the other way round, as widgets send theirs.
const ECHO = `
def on_open(comm, opened):
    heard = [list(bytes(b)) for b in opened['buffers']]
    comm.send({'heard': heard[0], 'state': {'n': 1}, 'buffer_paths': [['bytes']]}, buffers=[bytes(heard[0][::-1])])
get_ipython().kernel.comm_manager.register_target('echo', on_open)
`;
const LARGE = `
from IPython.display import display
display({'text/plain': 'Figure', 'text/html': '<b>small</b>', 'image/png': 'x' * 12_000_000}, raw=True)
print('y' * 12_000_000)
print('end')
`;

async function run(kernel, code) {
  const future = kernel.requestExecute({ code });
  const texts = [];
  const displays = [];
  future.onIOPub = (m) => {
    if (m.header.msg_type === "display_data") displays.push(m.content.data);
    if (m.header.msg_type === "stream") texts.push(m.content.text);
    if (m.header.msg_type === "execute_result") texts.push(m.content.data["text/plain"]);
  };
  const reply = await future.done;
  return { status: reply.content.status, ename: reply.content.ename, text: texts.join(""), displays };
}

const step = (name) => console.log(name);

async function main() {
  const specs = new KernelSpecManager({ serverSettings: settings });
  await specs.ready;
  assert.ok(specs.specs.kernelspecs.python3, "a spec python3");
  step("specs");

  const kernels = new KernelManager({ serverSettings: settings });
  const sessions = new SessionManager({ kernelManager: kernels, serverSettings: settings });
  await sessions.ready;
  const session = await sessions.startNew({ path: "services.ipynb", type: "notebook", name: "services.ipynb", kernel: { name: "python3" } });
  const kernel = session.kernel;
  const info = await kernel.info;
  assert.strictEqual(info.language_info.name, "python");
  step("started");

  assert.deepStrictEqual(await run(kernel, "x = 6; print('a'); x * 7"), { status: "ok", ename: undefined, text: "a\n42", displays: [] });
  assert.strictEqual((await run(kernel, "1/0")).ename, "ZeroDivisionError");
  step("executed");

  await run(kernel, ECHO);
  const comm = kernel.createComm("echo");
  const answered = new Promise((resolve) => (comm.onMsg = resolve));
  await comm.open({}, {}, [Uint8Array.of(0, 255, 128, 7).buffer]).done;
  const answer = await answered;
  assert.deepStrictEqual(answer.content.data.heard, [0, 255, 128, 7]);
  assert.deepStrictEqual(answer.content.data.state, { n: 1 });
  const bytes = (answer.buffers || []).map((b) => [...new Uint8Array(b.buffer || b)]);
  assert.deepStrictEqual(bytes, before === "gateway" ? [] : [[7, 128, 255, 0]]);
  assert.deepStrictEqual(answer.content.data.buffer_paths, before === "gateway" ? [] : [["bytes"]]);
  assert.strictEqual((await run(kernel, "6 * 7")).text, "42");
  step("comm");

  const large = await run(kernel, LARGE);
  assert.strictEqual(large.status, "ok");
  assert.strictEqual(large.text, "y".repeat(12_000_000) + "\nend\n");
  const shown = large.displays[0];
  assert.strictEqual(shown["text/html"], "<b>small</b>");
  if (before === "gateway") {
    assert.ok(!("image/png" in shown));
    assert.match(shown["text/plain"], /^Figure\n\[kernelhub: image\/png, 12000002 bytes\]\n\[left out: .*GET \/api\/v1\/executions\/[-0-9a-f]{36} has it\]$/);
  } else {
    assert.strictEqual(shown["image/png"].length, 12_000_000);
    assert.strictEqual(shown["text/plain"], "Figure");
  }
  assert.strictEqual((await run(kernel, "print('next')")).text, "next\n");
  step("large");

  const slow = kernel.requestExecute({ code: "import time; print('on'); time.sleep(60)" });
  await new Promise((resolve) => (slow.onIOPub = (m) => m.header.msg_type === "stream" && resolve()));
  await kernel.interrupt();
  assert.strictEqual((await slow.done).content.ename, "KeyboardInterrupt");
  step("interrupted");

  const asks = kernel.requestExecute({ code: "print(input('?'))", allow_stdin: true });
  let said = "";
  asks.onStdin = () => kernel.sendInputReply({ status: "ok", value: "Ada" }, {});
  asks.onIOPub = (m) => (said += m.header.msg_type === "stream" ? m.content.text : "");
  await asks.done;
  assert.strictEqual(said, "Ada\n");
  step("input");

  await kernel.restart();
  assert.strictEqual((await run(kernel, "x")).ename, "NameError");
  assert.strictEqual((await run(kernel, "print('again')")).text, "again\n");
  step("restarted");

  // the connection is cut in the middle of a cell: the library comes again by itself, and the cell goes on there
  const cut = kernel.requestExecute({ code: "import time\nfor i in range(30): print(i, flush=True); time.sleep(0.1)" });
  let lines = "";
  await new Promise((resolve) => {
    cut.onIOPub = (m) => {
      lines += m.header.msg_type === "stream" ? m.content.text : "";
      if (lines.includes("5\n")) resolve();
    };
  });
  kernel.reconnect();
  assert.strictEqual((await cut.done).content.status, "ok");
  assert.ok(lines.endsWith("29\n"), lines);
  step("reconnected");

  await session.setPath("renamed.ipynb");
  await sessions.refreshRunning();
  assert.ok([...sessions.running()].some((s) => s.path === "renamed.ipynb"));
  await session.changeKernel({ name: "bash" });
  assert.strictEqual((await run(session.kernel, "echo $((40+2))")).text, "42\n");
  step("changed");

  await session.shutdown();
  await sessions.refreshRunning();
  assert.ok(![...sessions.running()].some((s) => s.path === "renamed.ipynb"));
  step("shut down");
}

const limit = setTimeout(() => {
  console.error("not done in 100 s");
  process.exit(1);
}, 100000);
limit.unref();
main().then(
  () => process.exit(0),
  (e) => {
    console.error(e);
    process.exit(1);
  },
);
