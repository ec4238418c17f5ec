<?php
// Sends one letter with PHPMailer. Everything it needs comes as one JSON object on standard input.
// Needs Debian's libphp-phpmailer. Exits 1 with the conversation on standard output when sending fails.

require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$wish = json_decode(stream_get_contents(STDIN), true, 16, JSON_THROW_ON_ERROR);

$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->SMTPDebug = 2;
$mail->Debugoutput = fn ($text) => print(rtrim($text) . "\n");
$mail->Host = 'localhost';
$mail->Port = $wish['port'];
$mail->Timeout = 20;
$mail->SMTPAuth = true;
$mail->AuthType = $wish['auth'];
$mail->Username = $wish['user'];
$mail->Password = $wish['password'];
$mail->SMTPSecure = $wish['secure'];
$mail->SMTPAutoTLS = $wish['secure'] !== '';
$mail->SMTPOptions = ['ssl' => ['cafile' => $wish['authority'], 'verify_peer' => true, 'verify_peer_name' => true]];
$mail->CharSet = 'UTF-8';
$mail->setFrom($wish['user'], 'Ann');
$mail->addAddress('bob@example.org', 'Bob');
$mail->Subject = $wish['mark'];
$mail->isHTML(true);
$mail->Body = '<p>Привет from <b>PHPMailer</b></p>';
$mail->AltBody = 'Привет from PHPMailer';
if (isset($wish['attachment'])) {
    $mail->addAttachment($wish['attachment'], 'data.bin');
}
try {
    $mail->send();
} catch (Exception $problem) {
    print($problem->getMessage() . "\n");
    exit(1);
}
