"use strict";
// Paths are relative, so that the page also works behind a path prefix of a reverse proxy.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#swagger-ui",
    validatorUrl: null, // the default would send the address to a validator on another host
    persistAuthorization: false, // a token typed in here is not kept in the browser's storage
  });
});
