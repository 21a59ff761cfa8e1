// Node-RED on loopback, with the flow and nothing else: no editor, no admin interface, nothing that asks the network.
const path = require("path");

const RESTING = "the flow is not running: try again\n";

module.exports = {
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.NODE_RED_PORT),
    userDir: process.env.NODE_RED_USER_DIRECTORY,
    flowFile: path.resolve(process.env.NODE_RED_FLOWS),
    credentialSecret: false,
    httpAdminRoot: false,
    diagnostics: { enabled: false },
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { palette: { allowInstall: false }, modules: { allowInstall: false } },
    logging: { console: { level: "info", metrics: false, audit: false } },

    // Where the flow does not run, because Node-RED starts, stops or deploys, /jobs has no route: 503, not 404
    httpStatic: [
        {
            path: "/nonexistent",
            root: "/jobs",
            middleware: (request, response) => response.status(503).set("Retry-After", "1").send(RESTING),
        },
    ],
};
