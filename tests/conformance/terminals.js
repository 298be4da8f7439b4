// @jupyterlab/services' TerminalManager, with which JupyterLab opens its terminals: start, type, resize, reconnect, list, shut down.
// node terminals.js URL TOKEN; modules are looked for in NODE_PATH. Prints one line a step, ends with 1 at the first that fails.
"use strict";
const assert = require("assert");
const { PageConfig } = require("@jupyterlab/coreutils");
const { TerminalManager, ServerConnection } = require("@jupyterlab/services");
const [url, token] = process.argv.slice(2);

const settings = ServerConnection.makeSettings({
  baseUrl: url,
  wsUrl: url.replace("http", "ws"),
  token,
  appendToken: true,
  WebSocket: require("ws"),
});

PageConfig.setOption("terminalsAvailable", "true"); // as a page of JupyterLab says it
const step = (name) => console.log(name);

// What comes on stdout, until it holds the text.
function until(connection, text) {
  return new Promise((resolve) => {
    let seen = "";
    const on = (_, message) => {
      if (message.type === "stdout") seen += message.content[0];
      if (seen.includes(text)) {
        connection.messageReceived.disconnect(on);
        resolve(seen);
      }
    };
    connection.messageReceived.connect(on);
  });
}

const type = (connection, text) => connection.send({ type: "stdin", content: [text] });

async function main() {
  const manager = new TerminalManager({ serverSettings: settings });
  await manager.ready;
  const connection = await manager.startNew();
  assert.strictEqual(connection.name, "1");
  step("started");

  const answer = until(connection, "42-\u00e9\r\n");
  type(connection, "echo $((6*7))-\u00e9\r");
  await answer;
  step("typed");

  const size = until(connection, "50 132\r\n");
  connection.send({ type: "set_size", content: [50, 132, 600, 800] });
  type(connection, "stty size; v=kept\r");
  await size;
  step("resized");

  const again = until(connection, "still-kept\r\n");
  await connection.reconnect();
  type(connection, "echo still-$v\r");
  await again;
  step("reconnected");

  await manager.refreshRunning();
  assert.deepStrictEqual(Array.from(manager.running()).map((m) => m.name), ["1"]);
  const second = await manager.startNew({ name: "mine" });
  assert.strictEqual(second.name, "mine");
  const other = manager.connectTo({ model: { name: "1" } });
  const seen = until(other, "both-2\r\n");
  type(connection, "echo both-$((1+1))\r");
  await seen;
  step("shared");

  const ended = new Promise((resolve) => second.disposed.connect(resolve)); // what it makes of "disconnect"
  type(second, "exit\r");
  await ended;
  step("ended");

  await manager.shutdown("1");
  await manager.refreshRunning();
  assert.deepStrictEqual(Array.from(manager.running()), []);
  step("shut down");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  }
);
