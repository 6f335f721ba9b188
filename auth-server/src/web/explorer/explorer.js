// Starts the explorer, and keeps the session of this browser: the cookie is out of reach here, the
// token that changes have to show comes from GET /api/v1/session.
"use strict";

(() => {
  const form = document.getElementById("login");
  const who = document.getElementById("who");
  const submit = document.getElementById("submit");
  const fields = [form.elements.username, form.elements.password];
  let session = null;

  const reads = (method) => ["GET", "HEAD"].includes((method || "GET").toUpperCase());

  const show = () => {
    who.textContent = session
      ? `Logged in as ${session.user.username}.`
      : "Log in, or authorize with a personal token.";
    submit.textContent = session ? "Log out" : "Log in";
    for (const field of fields) {
      field.parentElement.hidden = Boolean(session);
      field.required = !session;
    }
  };

  const ask = async (method, body) => {
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (session && !reads(method)) headers["X-CSRF-Token"] = session.csrf_token;
    const answer = await fetch("v1/session", {
      method,
      headers,
      body: body && JSON.stringify(body),
      credentials: "same-origin",
    });
    const json = answer.status === 204 ? null : await answer.json();
    if (!answer.ok) throw new Error(json.errors[0].message);
    return json;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      if (session) {
        await ask("DELETE");
        session = null;
      } else {
        const [username, password] = fields.map((field) => field.value);
        session = await ask("POST", { username, password });
      }
      form.reset();
      show();
    } catch (error) {
      who.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  });

  window.ui = SwaggerUIBundle({
    url: "v1/openapi.json",
    dom_id: "#explorer",
    deepLinking: true,
    displayRequestDuration: true,
    // It would send the document to a service on the Internet.
    validatorUrl: null,
    requestInterceptor: (request) => {
      if (session && !reads(request.method) && !request.headers.Authorization) {
        request.headers["X-CSRF-Token"] = session.csrf_token;
      }
      return request;
    },
  });

  show();
  ask("GET").then(
    (open) => {
      session = open;
      show();
    },
    () => {},
  );
})();
