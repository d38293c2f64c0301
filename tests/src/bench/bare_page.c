/* A WebKitGTK window with one line of text: what the window of the app is compared with.
 * Says "painted" once the second frame after the page's start is due. */
#include <gtk/gtk.h>
#include <stdio.h>
#include <webkit2/webkit2.h>

static const char *PAGE =
    "<!doctype html><title>Bare</title><p>A page</p><script>requestAnimationFrame(() =>"
    "requestAnimationFrame(() => webkit.messageHandlers.painted.postMessage(1)))</script>";

static void painted(WebKitUserContentManager *manager, WebKitJavascriptResult *said, gpointer none) {
    (void)manager, (void)said, (void)none;
    puts("painted");
    fflush(stdout);
}

int main(int count, char **arguments) {
    gtk_init(&count, &arguments);
    WebKitUserContentManager *manager = webkit_user_content_manager_new();
    g_signal_connect(manager, "script-message-received::painted", G_CALLBACK(painted), NULL);
    webkit_user_content_manager_register_script_message_handler(manager, "painted");
    GtkWidget *window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
    gtk_window_set_default_size(GTK_WINDOW(window), 1040, 720);
    GtkWidget *view = webkit_web_view_new_with_user_content_manager(manager);
    gtk_container_add(GTK_CONTAINER(window), view);
    g_signal_connect(window, "destroy", G_CALLBACK(gtk_main_quit), NULL);
    webkit_web_view_load_html(WEBKIT_WEB_VIEW(view), PAGE, NULL);
    gtk_widget_show_all(window);
    gtk_main();
    return 0;
}
